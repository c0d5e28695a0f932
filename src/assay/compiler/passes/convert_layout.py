"""NHWC to NCHW: below opt level 3 by TVM's own ConvertLayout, from there on for whole networks.

TVM 0.27 stops at operators that say nothing about layouts (clip, pad, quantize, dequantize), and
lets a constant pull its consumer back to the layout it came in: two transposes around nearly every
convolution.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tvm
from tvm import relax

from assay.compiler.passes.change_layout import change_layout
from assay.compiler.passes.layout_rules import RULES, Rule
from assay.compiler.passes.layouts import NHWC_TO_NCHW
from assay.errors import ConfigError

_CONVOLUTIONS = {
    "conv2d": ("relax.nn.conv2d", ["NCHW", "OIHW"]),
    "conv2d_transpose": ("relax.nn.conv2d_transpose", ["NCHW", "IOHW"]),
}
_CARRIERS: Mapping[str, tuple[str, ...]] = {
    "clip": ("clip",),
    "quantize": ("quantize",),
    "dequantize": ("dequantize",),
    "leakyrelu": ("nn.leakyrelu",),
    # Relay's name for a convolution on quantized tensors; here it is spelled with these three.
    "qnn.conv2d": ("quantize", "dequantize", "clip"),
}


def convertible(ops: tuple[str, ...] | None) -> tuple[str, ...]:
    """Check ``Config.convert_ops``; ``relax.`` and ``nn.`` may be left out, None means all.

    ConfigError names the operators that take part in a conversion.
    """
    known = (*_CONVOLUTIONS, *_CARRIERS)
    if ops is None:
        return known
    names = tuple(op.removeprefix("relax.").removeprefix("nn.") for op in ops)
    for op, name in zip(ops, names, strict=True):
        if name not in known:
            raise ConfigError(
                f"convert-ops: {op!r} takes no part in a layout conversion, only {', '.join(known)}"
            )
    return names


def convert_layout(ops: tuple[str, ...] | None, propagate: bool) -> Any:
    """Return the module pass that converts the named convolutions to NCHW.

    With ``propagate``, the layout passes through whatever works in it; of the operators that can be
    named, through those that are. Without, the conversion is TVM's own. ConfigError on unknown
    names.
    """
    names = convertible(ops)

    @tvm.transform.module_pass(opt_level=0, name="ConvertLayoutNCHW")
    def run(mod: Any, _context: Any) -> Any:
        if propagate:
            return change_layout(mod, NHWC_TO_NCHW, _rules(names))
        desired = dict(_CONVOLUTIONS[name] for name in names if name in _CONVOLUTIONS)
        mod = relax.transform.ConvertLayout(desired)(mod)
        return relax.transform.CanonicalizeBindings()(mod)

    return run


def _rules(names: tuple[str, ...]) -> Mapping[str, Rule]:
    """Return the rules for operators that are named, and for those that cannot be."""
    optional = {"nn.conv2d"}.union(*_CARRIERS.values())
    carried = {op for name in names for op in _CARRIERS.get(name, (f"nn.{name}",))}
    return {op: rule for op, rule in RULES.items() if op in carried or op not in optional}
