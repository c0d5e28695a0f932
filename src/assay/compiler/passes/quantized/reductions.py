"""Read means, pooling and softmax of quantized tensors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from assay.compiler import tvm_api
from assay.compiler.kernels.int8.mean import QuantizedMean
from assay.compiler.kernels.int8.pool import QuantizedPool2d
from assay.compiler.kernels.int8.softmax import QuantizedSoftmax
from assay.compiler.kernels.pool import Pool2d
from assay.compiler.passes.chains import Graph
from assay.compiler.passes.layouts import TO_NHWC
from assay.compiler.passes.quantized.affine import SHIFTS, clipped, dequantized, quantized
from assay.compiler.passes.quantized.operator import QuantizedOperator
from assay.compiler.passes.readers.pool import read_window, with_padding


def read_mean(graph: Graph, var: Any) -> QuantizedOperator | None:
    """Read ``mean`` of a dequantized tensor."""
    call = graph.value[var]
    source, stored = dequantized(graph, call.args[0]), quantized(graph, var)
    if source is None or stored is None or tvm_api.is_constant(source[0]):
        return None
    tensor, affine = source
    _, target, span, covered = stored
    shape = tvm_api.static_shape(tensor)
    given = range(len(shape)) if call.attrs.axis is None else call.attrs.axis
    axes = tuple(sorted(int(axis) % len(shape) for axis in given))
    count = np.prod([shape[axis] for axis in axes])
    multiplier = np.float32(affine.scale) / (np.float32(target.scale) * np.float32(count))
    keep = bool(call.attrs.keepdims)
    problem = QuantizedMean(
        shape, axes, keep, affine.stored_zero_point, float(np.float32(multiplier)), span
    )
    return QuantizedOperator(problem, (var, *covered), (tensor,))


def read_max_pool(graph: Graph, var: Any) -> QuantizedOperator | None:
    """Read ``nn.max_pool2d`` of an 8-bit tensor, which needs no quantization to be known."""
    source = graph.value[var].args[0]
    window = read_window(graph.value[var], var)
    if window is None or str(source.ty.dtype) not in SHIFTS:
        return None
    low, high, covered = clipped(graph, var)
    signed = str(source.ty.dtype) == "int8"
    window, source = _with_padding(graph, window, source)
    problem = QuantizedPool2d(window, signed, low, high)
    return QuantizedOperator(problem, (var, *covered), (source,))


def read_average_pool(graph: Graph, var: Any) -> QuantizedOperator | None:
    """Read a mean of raw integers, rounded half away from zero: what AVERAGE_POOL_2D is."""
    call = graph.value[var]
    window = read_window(call, var)
    if window is None or window.border is not None:
        return None
    if graph.calls(call.args[0]) != "astype":
        return None
    source = graph.value[call.args[0]].args[0]
    signs = [user for user in graph.users[var] if graph.calls(user) == "sign"]
    sign = signs[0] if len(signs) == 1 else None
    product = graph.only_user(sign)
    result = graph.only_user(product)
    if str(source.ty.dtype) not in SHIFTS or not _rounds_half_away(graph, var, product):
        return None
    if graph.calls(result) != "astype" or str(result.ty.dtype) != str(source.ty.dtype):
        return None
    low, high, covered = clipped(graph, result)
    window, source = _with_padding(graph, window, source)
    problem = QuantizedPool2d(window, str(source.ty.dtype) == "int8", low, high)
    return QuantizedOperator(problem, (var, result, *covered), (source,))


def _with_padding(graph: Graph, window: Pool2d, source: Any) -> tuple[Pool2d, Any]:
    """Take over the padding of an 8-bit image in NHWC; the border becomes a stored value."""
    padded = with_padding(graph, window, source) if window.layout == "NHWC" else None
    if padded is None:
        return window, source
    window, image, _ = padded
    assert window.border is not None
    return replace(window, border=window.border + SHIFTS[str(source.ty.dtype)]), image


def _rounds_half_away(graph: Graph, mean: Any, product: Any) -> bool:
    """Tell whether the product is ``sign(mean) * floor(abs(mean) + 0.5)``."""
    if graph.calls(product) != "multiply":
        return False
    floor = graph.value[product].args[1]
    if graph.calls(floor) != "floor":
        return False
    total = graph.value[floor].args[0]
    if graph.calls(total) != "add":
        return False
    size, half = graph.value[total].args
    value = tvm_api.constant_value(half)
    away = value is not None and value.size == 1 and float(value.reshape(())) == 0.5
    return away and graph.calls(size) == "abs" and bool(graph.value[size].args[0].same_as(mean))


def read_softmax(graph: Graph, var: Any) -> QuantizedOperator | None:
    """Read ``nn.softmax`` of a dequantized tensor along its last axis, or the channels of NCHW.

    A factor in front of it, TFLite's beta, is a part of the scale.
    """
    call = graph.value[var]
    beta, scaled = _factor(graph, call.args[0])
    source, stored = dequantized(graph, scaled), quantized(graph, var)
    if source is None or stored is None or tvm_api.is_constant(source[0]):
        return None
    tensor, affine = source
    _, target, span, covered = stored
    shape = tvm_api.static_shape(tensor)
    axis = int(call.attrs.axis) % len(shape)
    nchw = len(shape) == 4 and axis == 1
    if axis != len(shape) - 1 and not nchw:
        return None
    shape = tuple(shape[axis] for axis in TO_NHWC) if nchw else shape
    problem = QuantizedSoftmax(shape, beta * affine.scale, target.scale, span)
    layer = QuantizedOperator(problem, (var, *covered), (tensor,))
    return replace(layer, source_nchw=nchw, result_nchw=nchw)


def _factor(graph: Graph, expr: Any) -> tuple[float, Any]:
    """Return the number that a tensor is multiplied by, and the tensor."""
    if graph.calls(expr) == "multiply":
        left, right = graph.value[expr].args
        number = tvm_api.constant_value(right)
        if number is not None and number.size == 1 and number.item() > 0:
            return float(number.item()), left
    return 1.0, expr
