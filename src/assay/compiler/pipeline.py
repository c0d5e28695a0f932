"""Which passes run, in which order, from which opt level on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tvm import relax

from assay.compiler import tvm_api
from assay.compiler.config import Config
from assay.compiler.passes.bind_int8 import bind_int8
from assay.compiler.passes.bind_kernels import bind_kernels
from assay.compiler.passes.bound import BoundKernels
from assay.compiler.passes.change_layout import to_nhwc
from assay.compiler.passes.convert_layout import convert_layout
from assay.compiler.passes.fold_weights import fold_weights
from assay.compiler.passes.legalize import legalize_ops
from assay.compiler.passes.scale_integers import scale_integers
from assay.compiler.passes.schedule_loops import schedule_loops
from assay.compiler.passes.sum_integers import sum_integers
from assay.compiler.passes.write_in_place import write_in_place
from assay.compiler.remarks.log import Log
from assay.compiler.target import ResolvedTarget

transform = relax.transform


@dataclass(frozen=True)
class Job:
    """What passes may look at besides the module.

    ``log`` takes lines and remarks, ``kernels`` what passes bound so far.
    """

    config: Config
    target: ResolvedTarget
    log: Log
    kernels: BoundKernels = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """One pass, the lowest opt level that runs it, and a condition on the Config."""

    name: str
    level: int
    make: Callable[[Job], Any]
    when: Callable[[Config], bool] = lambda config: True


def _nchw(config: Config) -> bool:
    return config.layout == "nchw"


def _nhwc(config: Config) -> bool:
    return config.layout != "nchw"


def _integers(config: Config) -> bool:
    return config.precision == "auto"


def _floats(config: Config) -> bool:
    return config.opt_level < 3


def _convert(job: Job) -> Any:
    return convert_layout(job.config.convert_ops, propagate=job.config.opt_level >= 3)


GRAPH = (
    Step("SumIntegers", 0, lambda job: sum_integers(), when=_floats),
    Step("ScaleIntegers", 0, lambda job: scale_integers(), when=_floats),
    Step("ConvertToNHWC", 0, lambda job: to_nhwc(), when=_nhwc),
    Step("CanonicalizeBindings", 2, lambda job: transform.CanonicalizeBindings()),
    Step("ConvertLayout", 0, _convert, when=_nchw),
    Step(
        "BindInt8", 3, lambda job: bind_int8(job.target.isa, job.log, job.kernels), when=_integers
    ),
    Step("FoldWeights", 2, lambda job: fold_weights()),
    Step("FoldConstant", 2, lambda job: transform.FoldConstant()),
    Step("EliminateCommonSubexpr", 2, lambda job: transform.EliminateCommonSubexpr()),
    Step("DeadCodeElimination", 2, lambda job: transform.DeadCodeElimination(["main"])),
)


def _bind(job: Job) -> Any:
    return bind_kernels(job.target.isa, job.config.opt_level >= 4, job.kernels)


BINDING = (
    Step("BindKernels", 3, _bind),
    Step("WriteInPlace", 3, lambda job: write_in_place(job.target.isa, job.kernels)),
)

KERNELS = (
    Step("LegalizeOps", 0, lambda job: legalize_ops()),
    Step("AnnotateTIROpPattern", 1, lambda job: transform.AnnotateTIROpPattern()),
    Step("FuseOps", 1, lambda job: transform.FuseOps()),
    Step("FuseTIR", 1, lambda job: transform.FuseTIR()),
    Step("ScheduleLoops", 2, lambda job: schedule_loops(job.target.isa, job.log)),
)


def stock_passes(target: Any) -> list[Any]:
    """Return TVM's own default CPU pipeline, whole and untouched."""
    return [tvm_api.default_pipeline(target)]


def steps(part: tuple[Step, ...], config: Config) -> list[Step]:
    """Return the steps of one part that this Config asks for."""
    return [s for s in part if config.opt_level >= s.level and s.when(config)]
