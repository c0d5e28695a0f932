"""Which experiments the lab runs. The table is the lab; everything else carries it out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from assay.compiler.config import Config
from assay.errors import ConfigError
from assay.lab.results import ExperimentResult, Status

ModelKind = Literal["fp32", "int8"]

AVX2_TARGET = "llvm -mcpu=core-avx2"

# Targets of experiments that come again whatever target is given, by the end of their names.
AVX2, NATIVE = "-avx2", "-native"
OWN_TARGETS = {AVX2: AVX2_TARGET, NATIVE: "native"}


@dataclass(frozen=True)
class Experiment:
    """One row of the comparison: a model file, and how TVM builds it (``config``) or LiteRT.

    ``needs`` is a CPU flag without which the experiment is skipped.
    """

    name: str
    title: str
    model: ModelKind
    config: Config | None = None
    needs: str | None = None

    @property
    def runtime(self) -> str:
        """Return ``litert``, ``tvm``, or ``stock`` for TVM's own pipeline."""
        if self.config is None:
            return "litert"
        return "stock" if self.config.pipeline == "stock" else "tvm"

    @property
    def own_target(self) -> bool:
        """Whether the plan says what it is built for, instead of who runs the lab."""
        return self.name.endswith(tuple(OWN_TARGETS))

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-able values."""
        return asdict(self)

    def unmeasured(
        self, status: Status, reason: str, fingerprint: str, log: str | None = None
    ) -> ExperimentResult:
        """Return the result of this experiment where there is nothing but a reason."""
        return ExperimentResult(
            name=self.name,
            title=self.title,
            status=status,
            fingerprint=fingerprint,
            runtime=self.runtime,
            precision=self.model,
            reason=reason,
            config=None if self.config is None else self.config.as_dict(),
            log=log,
        )


BEFORE = ("conv2d",)
AFTER = ("conv2d", "qnn.conv2d")

_LITERT = (
    Experiment("tflite-fp32", "FP32 file in LiteRT", "fp32"),
    Experiment("tflite-int8", "INT8 file in LiteRT", "int8"),
)
_TVM = (
    ("tvm-fp32-nhwc", "FP32, NHWC as imported, opt level 3", "fp32", Config(layout="nhwc")),
    ("tvm-fp32-opt1", "FP32, NCHW, opt level 1", "fp32", Config(layout="nchw", opt_level=1)),
    ("tvm-fp32-opt2", "FP32, NCHW, opt level 2", "fp32", Config(layout="nchw", opt_level=2)),
    ("tvm-fp32-opt3", "FP32, NCHW, opt level 3", "fp32", Config(layout="nchw", opt_level=3)),
    ("tvm-fp32-opt4", "FP32, NCHW, opt level 4", "fp32", Config(layout="nchw", opt_level=4)),
    ("tvm-int8-nhwc", "INT8, NHWC as imported, opt level 3", "int8", Config(layout="nhwc")),
    (
        "tvm-int8",
        "INT8, NCHW, only the float convolution converted (before the fix)",
        "int8",
        Config(layout="nchw", convert_ops=BEFORE),
    ),
    (
        "tvm-int8-fixed",
        "INT8, NCHW, all that carries the quantized convolution converted (after the fix)",
        "int8",
        Config(layout="nchw", convert_ops=AFTER),
    ),
)
_STOCK = (
    ("tvm-stock-fp32-nhwc", "FP32, TVM's own pipeline", "fp32", Config(pipeline="stock")),
    ("tvm-stock-int8-nhwc", "INT8, TVM's own pipeline", "int8", Config(pipeline="stock")),
)

# What comes again for the machine's own instruction set: the best build that a user would deploy.
_BEST = ("tvm-fp32-nhwc", "tvm-int8-nhwc")

# What the demo runs of it, for this CPU: enough to show each effect, in a few minutes.
DEMO = (
    "tflite-fp32",
    "tflite-int8",
    "tvm-fp32-nhwc",
    "tvm-fp32-opt1",
    "tvm-fp32-opt2",
    "tvm-fp32-opt3",
    "tvm-int8-nhwc",
    "tvm-int8",
    "tvm-int8-fixed",
    "tvm-fp32-nhwc-avx2",
    "tvm-stock-fp32-nhwc",
)


def plan(
    target: str = "llvm", target_host: str | None = None, only: Iterable[str] | None = None
) -> tuple[Experiment, ...]:
    """Return the experiments for a target, in the order of the report.

    Each TVM experiment comes again for AVX2, and the best of each model for all that this machine
    has. ``only`` selects by name; ConfigError if one of the
    names does not exist.
    """
    base = tuple(_on(row, target, target_host) for row in _TVM)
    avx2 = tuple(_again(e, AVX2, "AVX2", needs="avx2") for e in base)
    native = tuple(_again(e, NATIVE, "all that this CPU has") for e in base if e.name in _BEST)
    stock = tuple(_on(row, target, target_host) for row in _STOCK)
    return _select((*_LITERT, *base, *avx2, *native, *stock), only)


def _on(row: tuple[str, str, Any, Config], target: str, target_host: str | None) -> Experiment:
    name, title, model, config = row
    return Experiment(name, title, model, replace(config, target=target, target_host=target_host))


def _again(experiment: Experiment, suffix: str, what: str, needs: str | None = None) -> Experiment:
    assert experiment.config is not None
    return Experiment(
        f"{experiment.name}{suffix}",
        f"{experiment.title}, {what}",
        experiment.model,
        replace(experiment.config, target=OWN_TARGETS[suffix], target_host=None),
        needs=needs,
    )


def _select(all_: tuple[Experiment, ...], only: Iterable[str] | None) -> tuple[Experiment, ...]:
    if only is None:
        return all_
    names = list(only)
    known = [experiment.name for experiment in all_]
    for name in names:
        if name not in known:
            raise ConfigError(f"no experiment is called {name!r}; there are {', '.join(known)}")
    return tuple(experiment for experiment in all_ if experiment.name in names)
