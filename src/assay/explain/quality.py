"""Remarks that need data: what clips, and where a build leaves the reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from assay.compiler.remarks.remark import Remark
from assay.errors import ConfigError
from assay.explain.divergence import Divergence
from assay.explain.saturation import Saturation
from assay.explain.tap import Tap
from assay.runtimes.base import check_input

if TYPE_CHECKING:
    import numpy.typing as npt

    from assay.model.facts import Model
    from assay.runtimes.tvm import TVMRuntime

    Sample = Sequence[npt.NDArray[Any]]


def check_samples(model: Model, build: TVMRuntime, samples: Sequence[Sample]) -> None:
    """Raise ConfigError if the model is no TFLite file, InputError if a sample does not fit it."""
    if samples and model.format != "tflite":
        raise ConfigError(
            f"{model.path}: LiteRT, which data is held against, reads .tflite files only: leave "
            "--dataset and --input out"
        )
    for sample in samples:
        for spec, value in zip(build.inputs, sample, strict=True):
            check_input(spec, value)


def quality_remarks(model: Model, build: TVMRuntime, samples: Sequence[Sample]) -> list[Remark]:
    """Return what a build and LiteRT's reference kernels show on samples, layer by layer.

    A sample holds one raw array for each input. Raises what ``check_samples`` raises.
    """
    from assay.runtimes.litert import open_litert

    check_samples(model, build, samples)
    reference = open_litert(model.path, reference=True, tensors=True)
    tap, clipping = Tap(build), Saturation(model)
    divergence = Divergence(model, build.manifest.kernels)
    for sample in samples:
        for index, value in enumerate(sample):
            build.set_input(index, value)
            reference.set_input(index, value)
        reference.run()
        clipping.add(reference.tensor)
        divergence.add(tap.run(), reference.tensor)
    return [*divergence.remarks(), *clipping.remarks()]
