"""What a user gives to a lab run: opened and checked before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from assay.errors import ConfigError, InputError, TargetError
from assay.lab.plan import Experiment, ModelKind
from assay.lab.store import check_writable

if TYPE_CHECKING:
    from assay.datasets.base import Dataset
    from assay.datasets.subset import Subset
    from assay.model.facts import Model

_PETS = "oxford-pet:"


@dataclass(frozen=True)
class Lab:
    """A run to make. ``dataset`` is what ``open_dataset`` takes, ``fraction`` in (0, 1].

    ``download`` fetches the data set first, which has to be ``oxford-pet:DIR`` then. In the end all
    experiments are timed in turns, in ``rounds`` rounds spread over ``launches`` of their
    processes; not at all if ``launches`` is 0, and less often if that would take much longer than
    ``turns_s`` seconds.
    """

    models: dict[ModelKind, Path]
    dataset: str
    results_path: Path
    experiments: tuple[Experiment, ...]
    fraction: float = 1.0
    threads: int = 1
    command: str = ""
    download: bool = False
    launches: int = 10
    rounds: int = 60
    min_time_s: float = 0.03
    turns_s: float = 300.0


@dataclass(frozen=True)
class Inputs:
    """The models and the part of the data set that a run is about."""

    models: dict[ModelKind, Model]
    dataset: Subset


def open_inputs(lab: Lab) -> Inputs:
    """Open everything, cheap things first.

    Raises ModelError, TargetError, ConfigError, ResultsError, DatasetError, and InputError if a
    model is not made for the data.
    """
    from assay.datasets.registry import open_dataset
    from assay.datasets.subset import Subset
    from assay.lab.turns import timing_settings
    from assay.model.reader import read
    from assay.runtimes.checks import check_threads

    check_threads(lab.threads)
    timing_settings(lab)
    check_writable(lab.results_path / "results.json")
    models = {kind: read(path) for kind, path in lab.models.items()}
    _check_targets(lab.experiments)
    if lab.download:
        _download(lab.dataset)
    dataset = Subset(open_dataset(lab.dataset), lab.fraction)
    for model in models.values():
        tensors = [model.tensors[i] for i in (*model.input_indices, *model.output_indices)]
        shapes = [tensor.static_shape for tensor in tensors]
        inputs = len(model.inputs)
        check_fit(str(model.path), shapes[:inputs], shapes[inputs:], dataset)
    return Inputs(models, dataset)


def check_fit(
    model: str,
    inputs: Sequence[tuple[int, ...]],
    outputs: Sequence[tuple[int, ...]],
    dataset: Dataset,
) -> None:
    """Raise InputError unless a model of these shapes classifies examples of the data set.

    A size of -1 is open and fits. The input may be NHWC or NCHW.
    """
    if len(inputs) != 1:
        raise InputError(f"{model} takes {len(inputs)} inputs: give a classifier with one input")
    given = (1, *dataset[0].data.shape)
    if -1 not in inputs[0] and inputs[0] != given and not takes_nchw(inputs[0], given):
        raise InputError(
            f"{model} takes an input of shape {list(inputs[0])}, but data set {dataset.name!r} "
            f"gives {list(given)}: give a model made for that data"
        )
    scores, classes = prod(outputs[0]), len(dataset.classes)
    if -1 not in outputs[0] and scores != classes:
        raise InputError(
            f"{model} has {scores} outputs, but data set {dataset.name!r} has {classes} classes: "
            "give a model trained on that data"
        )


def takes_nchw(shape: tuple[int, ...], given: tuple[int, ...]) -> bool:
    """Tell whether an input takes examples of shape (1, H, W, C) only as (1, C, H, W).

    That is the layout of ONNX files. A size of -1 is open and fits.
    """
    if len(shape) != 4 or len(given) != 4:
        return False
    batch, height, width, channels = given

    def fits(sizes: tuple[int, ...]) -> bool:
        return all(own in (-1, size) for own, size in zip(shape, sizes, strict=True))

    return fits((batch, channels, height, width)) and not fits(given)


def why_not(experiment: Experiment, plan: Sequence[Experiment]) -> str | None:
    """Return why an experiment that needs a CPU flag or has a target of its own is skipped here.

    None if it is to run.
    """
    from assay.compiler.needs import needs_of
    from assay.compiler.target import resolve_target
    from assay.cpu import cpu_flags, cpu_model
    from assay.runtimes.host import obstacle

    config = experiment.config
    if config is None:
        return None
    if experiment.needs is not None and experiment.needs not in cpu_flags():
        return f"the CPU, {cpu_model()}, has no {experiment.needs.upper()}"
    if not experiment.own_target:
        return None
    target = resolve_target(config.target)
    for other in plan:
        if other is experiment or other.config is None or other.model != experiment.model:
            continue
        alike = replace(other.config, target=config.target) == config
        if alike and resolve_target(other.config.target) == target:
            return f"{other.name} is built for the same target already"
    return obstacle(needs_of(target))


def _check_targets(experiments: Sequence[Experiment]) -> None:
    """Raise TargetError for a target that this machine cannot run, where the user chose it."""
    from assay.compiler.needs import needs_of
    from assay.compiler.target import resolve_target
    from assay.runtimes.host import obstacle

    configs = [e.config for e in experiments if e.config is not None and not e.own_target]
    targets = {target for c in configs for target in (c.target, c.target_host) if target}
    for target in sorted(targets):
        reason = obstacle(needs_of(resolve_target(target)))
        if reason is not None:
            raise TargetError(
                f"target {target!r} cannot run here, as {reason}: the lab runs what it compiles, "
                "so give --target native or another one of this machine"
            )


def _download(dataset: str) -> None:
    from assay.datasets.download import download_oxford_pet

    if not dataset.startswith(_PETS):
        raise ConfigError(
            f"data set {dataset!r} cannot be fetched, only Oxford-IIIT Pet: give the directory "
            "for it as --dataset-root, or leave --download-dataset away"
        )
    download_oxford_pet(Path(dataset.removeprefix(_PETS)).expanduser())
