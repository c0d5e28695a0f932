"""Every choice that can change a build, in one place."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from assay.errors import ConfigError

Layout = Literal["nhwc", "nchw", "auto"]
Precision = Literal["auto", "float"]
Pipeline = Literal["assay", "stock"]

OPT_LEVELS = range(5)


@dataclass(frozen=True)
class Config:
    """What to build. The fields are the command line's options and the key of a cached build.

    target: an LLVM target, old or new form, or ``native`` for this machine's CPU.
    target_host: target of the code that calls the kernels; the same as ``target`` if None.
    opt_level: 0 to 4, each a superset of the one below (docs/opt-levels.md).
    layout: ``nhwc`` as imported, ``nchw`` converted, ``auto`` the one that is faster, NHWC.
    convert_ops: operators that take part in the layout conversion; all that can if None.
    precision: ``float`` runs quantized operators in FP32 between dequantize and quantize.
    pipeline: ``stock`` is TVM's own default pipeline with nothing of assay's.
    batch: size of a first dimension that the file leaves open.
    inputs, outputs: tensors between which the graph is cut; the model's own if None.
    signature: the one whose names ``inputs`` and ``outputs`` are, where several have them.
    """

    target: str = "native"
    target_host: str | None = None
    opt_level: int = 3
    layout: Layout = "auto"
    convert_ops: tuple[str, ...] | None = None
    precision: Precision = "auto"
    pipeline: Pipeline = "assay"
    batch: int = 1
    inputs: tuple[str, ...] | None = None
    outputs: tuple[str, ...] | None = None
    signature: str | None = None

    def __post_init__(self) -> None:
        if self.opt_level not in OPT_LEVELS:
            raise ConfigError(f"opt level {self.opt_level} does not exist: give 0, 1, 2, 3 or 4")
        for name, value, choices in (
            ("layout", self.layout, get_args(Layout)),
            ("precision", self.precision, get_args(Precision)),
            ("pipeline", self.pipeline, get_args(Pipeline)),
        ):
            if value not in choices:
                raise ConfigError(f"{name} {value!r} does not exist: give {' or '.join(choices)}")
        if self.pipeline == "stock" and (self.layout == "nchw" or self.convert_ops):
            raise ConfigError("the stock pipeline converts no layout: leave layout and ops away")

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-able values."""
        return asdict(self)
