"""What follows the sums of a quantized layer: bias, requantization, activation, an addition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.compiler import tvm_api
from assay.compiler.kernels.int8.problem import Addition, Linear, multipliers
from assay.compiler.passes.chains import Graph
from assay.compiler.passes.quantized.affine import Affine, dequantized, quantized
from assay.compiler.passes.quantized.operator import QuantizedOperator
from assay.compiler.passes.quantized.weights import MOVED_BY

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SAME_SCALE = 1e-3  # relative; far above float32's rounding, far below a step of the output


@dataclass(frozen=True)
class Sums:
    """A linear operator on quantized tensors, up to its sums.

    ``make`` returns the problem from the fields that they all have. ``variables`` are those up to
    the sums, ``weight_scales`` float32 [channels], ``values`` what is packed besides bias and
    multipliers.
    """

    make: Callable[..., Linear]
    variables: tuple[Any, ...]
    sources: tuple[Any, ...]
    affine: Affine
    weight_scales: NDArray[np.float32]
    weights_zero_point: int
    values: tuple[Any, ...] = ()


Layer = tuple[QuantizedOperator, Any, Affine]
"""A layer, its 8-bit result, and the quantization of that."""


def completed(graph: Graph, sums: Sums) -> Layer | None:
    """Read the rest of the layer; None if the sums are not quantized next."""
    source_scale, scales = sums.affine.scale, sums.weight_scales
    anchor = sums.variables[-1]
    summed, bias = _bias(graph, anchor, source_scale * scales.astype(np.float64))
    stored = quantized(graph, summed)
    if stored is None:
        return None
    output, affine, span, covered = stored
    factors = multipliers(source_scale, scales, affine.scale, scales.size)
    problem = sums.make(
        input_zero_point=sums.affine.stored_zero_point,
        output=span,
        weights_zero_point=sums.weights_zero_point,
        shrinks=bool((factors < 1).all()),
    )
    before = sums.variables if summed is anchor else (*sums.variables, summed)
    layer = QuantizedOperator(
        problem, (*before, *covered), sums.sources, (*sums.values, bias, factors)
    )
    return layer, output, affine


def with_addition(graph: Graph, found: Layer | None) -> QuantizedOperator | None:
    """Return a layer, with the ADD of its result and another tensor of its shape if one follows."""
    return None if found is None else _with_addition(graph, *found) or found[0]


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


def _with_addition(
    graph: Graph, layer: QuantizedOperator, output: Any, affine: Affine
) -> QuantizedOperator | None:
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
