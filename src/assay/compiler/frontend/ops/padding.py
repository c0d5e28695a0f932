"""Operators that pad a tensor."""

from __future__ import annotations

from typing import Literal

import numpy as np
from tvm import relax

from assay.compiler.frontend.exprs import Expr, constant
from assay.compiler.frontend.known import is_quantized
from assay.compiler.frontend.site import Convert, Site

# MirrorPadMode of the schema -> np.pad's mode
_MODES: dict[str, Literal["reflect", "symmetric"]] = {
    "REFLECT": "reflect",
    "SYMMETRIC": "symmetric",
}


def pad(site: Site) -> Expr:
    """PAD and PADV2: with a given value or with 0, which is the zero point if quantized."""
    quantization = site.tensor(0).quantization
    if site.has(2):
        value = site.value(2).item()
    elif is_quantized(site.tensor(0)) and quantization is not None:
        value = quantization.zero_point[0]
    else:
        value = 0
    return relax.op.nn.pad(site.expr(0), site.ints(1), "constant", value)


def mirror_pad(site: Site) -> Expr:
    """MIRROR_PAD with or without repeating the border: picks elements, an axis at a time."""
    expr, mode = site.expr(0), _MODES[site.attributes["mode"]]
    for axis, (size, widths) in enumerate(zip(site.shape(0), site.value(1), strict=True)):
        if widths.min() < 0 or widths.max() > size - (mode == "reflect"):
            raise ValueError(f"it pads a dimension of size {size} by {widths.tolist()}")
        if widths.any():
            source = np.pad(np.arange(size), [int(width) for width in widths], mode)
            expr = relax.op.take(expr, constant(source), axis)
    return expr


CONVERTERS: dict[str, Convert] = {
    "MIRROR_PAD": mirror_pad,
    "PAD": pad,
    "PADV2": pad,
}
