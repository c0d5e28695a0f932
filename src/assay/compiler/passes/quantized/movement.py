"""Read concatenation, padding and resizing of quantized tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from assay.compiler import tvm_api
from assay.compiler.kernels.int8.concat import QuantizedConcat, QuantizedPad
from assay.compiler.kernels.int8.elementwise import Operand
from assay.compiler.kernels.int8.mixing import QuantizedResize
from assay.compiler.kernels.int8.pick import QuantizedPick
from assay.compiler.kernels.int8.stored import StoredRange
from assay.compiler.passes.chains import Graph
from assay.compiler.passes.convolutions import image_extents
from assay.compiler.passes.quantized.affine import (
    SHIFTS,
    Affine,
    clipped,
    dequantized,
    quantized,
    read_affine,
)
from assay.compiler.passes.quantized.elementwise import operand
from assay.compiler.passes.quantized.operator import QuantizedOperator
from assay.compiler.passes.readers.resize import picked_pixels, resampling_of

MOVES = frozenset(
    {
        "reshape",
        "permute_dims",
        "squeeze",
        "expand_dims",
        "strided_slice",
        "take",
        "flip",
        "tile",
        "repeat",
        "broadcast_to",
        "argmax",
        "argmin",
    }
)
"""Operators that do to stored values what they do to the model's own: order is all that matters."""

_MODES = {"asymmetric": (False, False), "align_corners": (True, False), "half_pixel": (False, True)}


def read_concat(graph: Graph, var: Any) -> QuantizedOperator | None:
    """Read ``concat`` of 8-bit tensors; an input's requantization becomes a part of it."""
    call = graph.value[var]
    fields = list(getattr(call.args[0], "fields", ()))
    shape = tvm_api.static_shape(var)
    if not fields or str(var.ty.dtype) not in SHIFTS or call.attrs.axis is None:
        return None
    parts = [_requantized(graph, field) for field in fields]
    targets = {part[2] for part in parts if part is not None}
    if len(targets) > 1:
        parts = [None] * len(fields)
    target = next(iter(targets)) if len(targets) == 1 else None
    zero_point = 0 if target is None else target.stored_zero_point
    low, high, covered = clipped(graph, var)
    sources, operands, factors = [], [], []
    for field, part in zip(fields, parts, strict=True):
        if part is None or target is None:
            sources.append(field)
            operands.append(Operand(tvm_api.static_shape(field), zero_point))
            factors.append(1.0)
        else:
            sources.append(part[0])
            operands.append(operand(part[0], part[1]))
            factors.append(float(np.float32(part[1].scale) / np.float32(target.scale)))
    problem = QuantizedConcat(
        tuple(operands),
        tuple(factors),
        int(call.attrs.axis) % len(shape),
        StoredRange(zero_point, low, high),
    )
    return QuantizedOperator(problem, (var, *covered), tuple(sources))


def _requantized(graph: Graph, var: Any) -> tuple[Any, Affine, Affine] | None:
    """Return the tensor, its quantization and the new one, if only that lies behind ``var``."""
    if graph.calls(var) != "quantize" or graph.only_user(var) is None or var in graph.taken:
        return None
    call = graph.value[var]
    source = dequantized(graph, call.args[0])
    target = read_affine(call, str(call.attrs.out_dtype))
    if source is None or target is None or tvm_api.is_constant(source[0]):
        return None
    return (*source, target)


def read_pad(graph: Graph, var: Any) -> QuantizedOperator | None:
    """Read ``nn.pad`` of an 8-bit tensor with a constant."""
    call = graph.value[var]
    source, dtype = call.args[0], str(var.ty.dtype)
    if dtype not in SHIFTS or str(call.attrs.pad_mode) != "constant":
        return None
    widths = [int(width) for width in call.attrs.pad_width]
    if any(width < 0 for width in widths):
        return None
    fill = int(tvm_api.scalar(call.attrs.pad_value)) + SHIFTS[dtype]
    low, high, covered = clipped(graph, var)
    problem = QuantizedPad(
        Operand(tvm_api.static_shape(source), 0),
        tuple(widths[::2]),
        tuple(widths[1::2]),
        min(max(fill, low), high),
        1.0,
        StoredRange(0, low, high),
    )
    return QuantizedOperator(problem, (var, *covered), (source,))


def read_resize(graph: Graph, var: Any) -> QuantizedOperator | None:
    """Read ``image.resize2d``: nearest of 8-bit tensors, bilinear of dequantized ones."""
    call = graph.value[var]
    attrs, source = call.attrs, call.args[0]
    layout, method = str(attrs.layout), str(attrs.method)
    if layout not in ("NHWC", "NCHW") or method not in ("nearest_neighbor", "linear"):
        return None
    batch, in_h, in_w, channels = image_extents(source, layout)
    _, out_h, out_w, _ = image_extents(var, layout)
    if layout == "NCHW":  # that many images of one channel
        batch, channels = batch * channels, 1
    if method == "nearest_neighbor":
        rows, columns = resampling_of(attrs, in_h, out_h), resampling_of(attrs, in_w, out_w)
        if str(source.ty.dtype) not in SHIFTS or rows is None or columns is None:
            return None
        pick = QuantizedPick(batch, in_h, in_w, channels, rows.picks, columns.picks)
        return QuantizedOperator(pick, (var,), (source,))
    mode = str(attrs.coordinate_transformation_mode)
    found, stored = dequantized(graph, source), quantized(graph, var)
    if mode not in _MODES or found is None or stored is None or stored[1] != found[1]:
        return None
    source, covered = found[0], stored[3]
    if stored[2] != found[1].stored_range():
        return None
    sizes = (batch, in_h, in_w, channels, out_h, out_w)
    problem = QuantizedResize(*sizes, str(source.ty.dtype) == "int8", *_MODES[mode])
    return QuantizedOperator(problem, (var, *covered), (source,))


def read_take(graph: Graph, var: Any) -> QuantizedOperator | None:
    """Read ``take`` by a vector of constants from an 8-bit tensor, and one along the next axis."""
    found = picked_pixels(graph, var, tuple(SHIFTS))
    if found is None:
        return None
    batch, channels, rows, columns = found.sizes
    pick = QuantizedPick(batch, rows.inputs, columns.inputs, channels, rows.picks, columns.picks)
    return QuantizedOperator(pick, found.variables, (found.source,))
