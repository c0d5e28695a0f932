"""A few inputs for a model, from a data set or from files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from assay.errors import ConfigError

if TYPE_CHECKING:
    import numpy.typing as npt

    from assay.datasets.preprocess import Preprocess
    from assay.model.facts import Model

    Samples = list[tuple[npt.NDArray[Any], ...]]


def samples(
    model: Model,
    dataset: str | None,
    count: int,
    files: list[str],
    preprocess: Preprocess | None,
    signature: str | None = None,
) -> Samples:
    """Return raw inputs: ``count`` examples of the data set, or the one that the files hold.

    ConfigError for options that contradict each other; InputError for what does not fit the model.
    """
    if dataset is not None and files:
        raise ConfigError("--dataset and --input both say which data to use: give one of them")
    if dataset is not None:
        return _from_dataset(model, dataset, count, preprocess)
    if signature is not None and not files:
        raise ConfigError(f"--signature {signature} says whose names --input gives: give both")
    return _from_files(model, files, signature) if files else []


def _from_dataset(model: Model, dataset: str, count: int, preprocess: Preprocess | None) -> Samples:
    from assay.datasets.registry import open_dataset
    from assay.datasets.subset import Subset
    from assay.lab.inputs import check_fit
    from assay.runtimes.tensors import encode

    if count < 1:
        raise ConfigError(f"--samples {count}: give at least 1")
    data = open_dataset(dataset, preprocess=preprocess)
    shapes = [spec.shape for spec in model.inputs], [spec.shape for spec in model.outputs]
    check_fit(str(model.path), *shapes, data)
    chosen = Subset(data, min(1.0, count / len(data)))
    spec = model.inputs[0]
    return [(encode(spec, chosen[index].data[None]),) for index in range(len(chosen))]


def _from_files(model: Model, files: list[str], signature: str | None) -> Samples:
    from assay.cli.arrays import load_array
    from assay.cli.tensor_files import Side

    chosen = Side("--input", model.path, model.inputs, signature).all_files(files)
    return [tuple(load_array(chosen[index]) for index in range(len(model.inputs)))]
