"""Read quantized convolutions and dense layers, with the addition that may follow."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.compiler import tvm_api
from assay.compiler.kernels.int8.problem import (
    Addition,
    QuantizedConv2d,
    QuantizedDense,
    multipliers,
)
from assay.compiler.kernels.problem import Dense
from assay.compiler.passes.chains import Graph
from assay.compiler.passes.convolutions import read_convolution, weights_hwio
from assay.compiler.passes.quantized.affine import Affine, dequantized, quantized
from assay.compiler.passes.quantized.operator import QuantizedOperator
from assay.compiler.passes.quantized.weights import MOVED_BY, read_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SAME_SCALE = 1e-3  # relative; far above float32's rounding, far below a step of the output


def read(graph: Graph, var: Any) -> QuantizedOperator | None:
    """Read a layer, and the addition that may follow."""
    found = read_layer(graph, var)
    if found is None:
        return None
    layer, output, affine = found
    return _with_addition(graph, layer, output, affine) or layer


def read_layer(graph: Graph, var: Any) -> tuple[QuantizedOperator, Any, Affine] | None:
    """Read ``nn.conv2d`` or ``matmul`` of dequantized activations and constant weights.

    Return it with its 8-bit result and the quantization of that.
    """
    call = graph.value[var]
    source = dequantized(graph, call.args[0])
    weights = read_weights(graph, call.args[1])
    if source is None or weights is None:
        return None
    convolution = graph.calls(var) == "nn.conv2d"
    geometry: Any = read_convolution(call) if convolution else _dense(call)
    if geometry is None:
        return None
    ordered = weights.per_output(
        partial(weights_hwio, call, geometry)
        if convolution
        else lambda values: values.reshape(geometry.weights_shape)
    )
    if ordered is None:
        return None
    values, scales = ordered
    summed, bias = _bias(graph, var, source[1].scale * scales.astype(np.float64))
    stored = quantized(graph, summed)
    if stored is None:
        return None
    output, affine, span, covered = stored
    kind = QuantizedConv2d if convolution else QuantizedDense
    factors = multipliers(source[1].scale, scales, affine.scale, geometry.weights_shape[-1])
    shrinks = bool((factors < 1).all())
    zero_points = source[1].stored_zero_point, span, weights.zero_point
    layer = QuantizedOperator(
        kind(geometry, *zero_points, shrinks=shrinks),
        (var, summed, *covered) if summed is not var else (var, *covered),
        (source[0],),
        (values, bias, factors),
    )
    return layer, output, affine


def _bias(graph: Graph, anchor: Any, scales: NDArray[np.float64]) -> tuple[Any, NDArray[np.int32]]:
    """Return the variable after the bias, and the bias; the anchor itself and zeros without one.

    Sums have ``scales``, a scale for each output channel. TFLite takes the integers of a bias for
    such sums whatever scale they claim, and converters round that; a bias with another scale, as
    other formats allow, is brought to it.
    """
    none = np.zeros(scales.size, np.int32)
    user = graph.only_user(anchor)
    if user is None or graph.calls(user) != "add":
        return anchor, none
    left, right = graph.value[user].args
    other = right if left.same_as(anchor) else left
    call = graph.value.get(other)
    while call is not None and tvm_api.op_name(call) in MOVED_BY:
        call = graph.value.get(call.args[0])
    if call is None or tvm_api.op_name(call) != "dequantize":
        return anchor, none
    value, scale, zero_point = (tvm_api.constant_value(each) for each in call.args[:3])
    if value is None or value.dtype != np.int32 or value.size != scales.size:
        return anchor, none
    if scale is None or zero_point is None:
        return anchor, none
    factors = scale.reshape(-1).astype(np.float64) / scales
    if not zero_point.any() and np.allclose(factors, 1.0, rtol=_SAME_SCALE, atol=0):
        return user, value.reshape(-1)
    steps = np.rint((value.reshape(-1) - zero_point.reshape(-1).astype(np.float64)) * factors)
    span = np.iinfo(np.int32)
    return user, np.clip(steps, span.min, span.max).astype(np.int32)


def _dense(call: Any) -> Dense | None:
    left, right = (tvm_api.static_shape(arg) for arg in call.args)
    return Dense(left[:-1], *right) if len(right) == 2 else None


def _with_addition(
    graph: Graph, layer: QuantizedOperator, output: Any, affine: Affine
) -> QuantizedOperator | None:
    """Take in an ADD of the layer's output and another tensor of its shape, if that follows."""
    real = graph.only_user(output)
    total = None if real is None else graph.only_user(real)
    if total is None or graph.calls(real) != "dequantize" or graph.calls(total) != "add":
        return None
    left, right = graph.value[total].args
    other = dequantized(graph, right if left.same_as(real) else left)
    stored = quantized(graph, total)
    same = tvm_api.static_shape(left) == tvm_api.static_shape(right)
    if other is None or stored is None or not same or total in graph.taken:
        return None
    _, target, span, covered = stored
    addition = Addition(
        float(np.float32(affine.scale) / np.float32(target.scale)),
        float(np.float32(other[1].scale) / np.float32(target.scale)),
        other[1].stored_zero_point,
        span,
    )
    return replace(
        layer,
        problem=replace(layer.problem, addition=addition),
        variables=(*layer.variables, real, total, *covered),
        sources=(*layer.sources, other[0]),
    )
