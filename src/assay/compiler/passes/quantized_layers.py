"""Find quantized operators in a graph where TVM's importer spelled them in floating point.

It writes ``quantize(op(dequantize(x), dequantize(w)) + dequantize(b))`` and, for a fused
activation, a clip of the integers. From such a group this module reads what the model file said:
the integer tensors, their scales and zero points, and the limits of the activation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
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
from assay.compiler.kernels.int8.stored import SIGN_FLIP, StoredRange
from assay.compiler.kernels.problem import Dense
from assay.compiler.passes.chains import Graph
from assay.compiler.passes.convolutions import read_convolution, weights_hwio

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOVES = ("reshape", "permute_dims")
_SHIFTS = {"int8": SIGN_FLIP, "uint8": 0}
"""What stored activations, all uint8, are above the model's own integers."""


@dataclass(frozen=True)
class Affine:
    """Per-tensor quantization of 8-bit activations in the model's own integers."""

    scale: float
    zero_point: int
    dtype: str

    @property
    def stored_zero_point(self) -> int:
        """The zero point of the stored, unsigned values."""
        return self.zero_point + _SHIFTS[self.dtype]

    def quantize(self, real: float) -> float:
        """Return the model's integer for a real number, halves away from zero as TFLite rounds."""
        steps = real / self.scale
        if math.isinf(steps):
            return steps
        return math.copysign(math.floor(abs(steps) + 0.5), steps) + self.zero_point

    def stored_range(self, low: float | None = None, high: float | None = None) -> StoredRange:
        """Return limits given in the model's integers (all of the type if None) as stored ones."""
        shift = _SHIFTS[self.dtype]
        stored_low = 0 if low is None else max(0, low + shift)
        stored_high = 255 if high is None else min(255, high + shift)
        return StoredRange(self.stored_zero_point, int(stored_low), int(stored_high))


@dataclass(frozen=True)
class QuantizedLayer:
    """A convolution or dense layer: the problem, its constants, and the variables it stands for.

    ``source`` and ``other`` are the variables of the 8-bit input and, with a residual addition,
    the other summand. ``weights`` are stored int8, HWIO or [in, out]; ``bias`` is int32 [out].
    """

    problem: QuantizedConv2d | QuantizedDense
    source: Any
    other: Any
    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    multipliers: NDArray[np.float32]
    variables: tuple[Any, ...]


@dataclass(frozen=True)
class _Weights:
    """``scale_index`` has the shape of ``values`` and says which scale each of them has."""

    values: NDArray[np.int8]
    scales: NDArray[np.float32]
    scale_index: NDArray[np.intp]
    zero_point: int

    def per_output(
        self, ordered: Callable[[NDArray[Any]], NDArray[Any]]
    ) -> tuple[NDArray[np.int8], NDArray[np.float32]] | None:
        """Return values [..., outputs], brought in order, and the scale of each output.

        None if scales belong to anything but outputs.
        """
        values, index = ordered(self.values), ordered(self.scale_index)
        index = index.reshape(-1, index.shape[-1])
        if (index != index[0]).any():
            return None
        return values, self.scales[index[0]]


def quantized_layer(graph: Graph, anchor: Any) -> QuantizedLayer | None:
    """Return the quantized layer around a float conv2d or matmul, None if it is not one."""
    name = graph.calls(anchor)
    if name not in ("nn.conv2d", "matmul"):
        return None
    call = graph.value[anchor]
    source = dequantized(graph, call.args[0])
    weights = _weights(graph, call.args[1])
    if source is None or weights is None:
        return None
    geometry: Any = read_convolution(call) if name == "nn.conv2d" else _dense(call)
    if geometry is None:
        return None
    ordered = weights.per_output(
        partial(weights_hwio, call, geometry)
        if name == "nn.conv2d"
        else lambda values: values.reshape(geometry.weights_shape)
    )
    if ordered is None:
        return None
    values, scales = ordered
    summed, bias = _bias(graph, anchor, geometry.weights_shape[-1])
    stored = quantized(graph, summed)
    if stored is None:
        return None
    output, affine, span, covered = stored
    scale = float(source[1].scale)
    kind = QuantizedConv2d if name == "nn.conv2d" else QuantizedDense
    problem = kind(geometry, source[1].stored_zero_point, span, weights.zero_point)
    layer = QuantizedLayer(
        problem,
        source[0],
        None,
        values,
        bias,
        multipliers(scale, scales, affine.scale, geometry.weights_shape[-1]),
        (anchor, summed, *covered) if summed is not anchor else (anchor, *covered),
    )
    return _with_addition(graph, layer, output, affine) or layer


def dequantized(graph: Graph, var: Any) -> tuple[Any, Affine] | None:
    """Return the 8-bit variable and its quantization if ``var`` is a dequantized activation."""
    if graph.calls(var) != "dequantize":
        return None
    call = graph.value[var]
    affine = _affine(call, str(call.args[0].ty.dtype))
    return None if affine is None else (call.args[0], affine)


def quantized(graph: Graph, var: Any) -> tuple[Any, Affine, StoredRange, list[Any]] | None:
    """Return what a real value is quantized to, if that is its only use.

    That is: the 8-bit variable after a fused activation, the quantization, the stored limits, and
    the variables on the way. The importer clips integers after most operators, reals before
    quantizing after others.
    """
    user = graph.only_user(var)
    reals = _limits(graph, user)
    covered = [] if reals is None else [user]
    user = user if reals is None else graph.only_user(user)
    if user is None or graph.calls(user) != "quantize":
        return None
    call = graph.value[user]
    affine = _affine(call, str(call.attrs.out_dtype))
    if affine is None:
        return None
    covered.append(user)
    if reals is not None:  # an activation before quantizing limits the integers just as well
        return user, affine, affine.stored_range(*map(affine.quantize, reals)), covered
    after = graph.only_user(user)
    if after is None or graph.calls(after) != "clip":
        return user, affine, affine.stored_range(), covered
    low, high = (tvm_api.scalar(limit) for limit in graph.value[after].args[1:3])
    return after, affine, affine.stored_range(low, high), [*covered, after]


def _limits(graph: Graph, var: Any) -> tuple[float, float] | None:
    """Return the limits of a clip or relu of real numbers, None for any other operator."""
    if graph.calls(var) == "nn.relu":
        return 0.0, math.inf
    if graph.calls(var) != "clip" or str(var.ty.dtype) != "float32":
        return None
    low, high = (tvm_api.scalar(limit) for limit in graph.value[var].args[1:3])
    return low, high


def _affine(call: Any, dtype: str) -> Affine | None:
    scale, zero_point = (tvm_api.constant_value(arg) for arg in call.args[1:3])
    if dtype not in _SHIFTS or scale is None or zero_point is None or scale.size != 1:
        return None
    return Affine(float(scale.reshape(())), int(zero_point.reshape(())), dtype)


def _weights(graph: Graph, expr: Any) -> _Weights | None:
    """Read dequantized constant weights, looking through reshapes and transposes around that."""
    moves: list[Any] = []
    call = graph.value.get(expr)
    while call is not None and tvm_api.op_name(call) in _MOVES:
        moves.append(call)
        call = graph.value.get(call.args[0])
    if call is None or tvm_api.op_name(call) != "dequantize":
        return None
    scale, zero_point = (tvm_api.constant_value(arg) for arg in call.args[1:3])
    values = _moved_constant(graph, call.args[0])
    if values is None or scale is None or zero_point is None or len(np.unique(zero_point)) != 1:
        return None
    if str(values.dtype) not in _SHIFTS:
        return None
    index = np.zeros(values.shape, np.intp)
    if scale.size > 1:
        axis = int(call.attrs.axis) % values.ndim
        index += np.arange(scale.size).reshape([-1 if i == axis else 1 for i in range(values.ndim)])
    for move in reversed(moves):
        values, index = (tvm_api.move_constant(move, array) for array in (values, index))
    shift = SIGN_FLIP if str(values.dtype) == "uint8" else 0
    stored = (values.astype(np.int16) - shift).astype(np.int8)
    return _Weights(stored, scale.reshape(-1), index, int(zero_point.reshape(-1)[0]) - shift)


def _moved_constant(graph: Graph, expr: Any) -> NDArray[Any] | None:
    value = tvm_api.constant_value(expr)
    if value is not None:
        return value
    call = graph.value.get(expr)
    if call is None or tvm_api.op_name(call) not in _MOVES:
        return None
    inner = _moved_constant(graph, call.args[0])
    return None if inner is None else tvm_api.move_constant(call, inner)


def _bias(graph: Graph, anchor: Any, channels: int) -> tuple[Any, NDArray[np.int32]]:
    """Return the variable after the bias, and the bias; the anchor itself and zeros without one."""
    none = np.zeros(channels, np.int32)
    user = graph.only_user(anchor)
    if user is None or graph.calls(user) != "add":
        return anchor, none
    left, right = graph.value[user].args
    other = right if left.same_as(anchor) else left
    call = graph.value.get(other)
    while call is not None and tvm_api.op_name(call) in _MOVES:
        call = graph.value.get(call.args[0])
    value = None
    if call is not None and tvm_api.op_name(call) == "dequantize":
        value = tvm_api.constant_value(call.args[0])
    if value is None or value.dtype != np.int32 or value.size != channels:
        return anchor, none
    return user, value.reshape(-1)


def _dense(call: Any) -> Dense | None:
    left, right = (tvm_api.static_shape(arg) for arg in call.args)
    return Dense(left[:-1], *right) if len(right) == 2 else None


def _with_addition(
    graph: Graph, layer: QuantizedLayer, output: Any, affine: Affine
) -> QuantizedLayer | None:
    """Take in an ADD of the layer's output and another tensor of its shape, if that follows."""
    real = graph.only_user(output)
    total = None if real is None else graph.only_user(real)
    if total is None or graph.calls(real) != "dequantize" or graph.calls(total) != "add":
        return None
    left, right = graph.value[total].args
    other = dequantized(graph, right if left.same_as(real) else left)
    stored = quantized(graph, total)
    same = tvm_api.static_shape(left) == tvm_api.static_shape(right)
    if other is None or stored is None or not same:
        return None
    _, target, span, covered = stored
    addition = Addition(
        float(np.float32(affine.scale) / np.float32(target.scale)),
        float(np.float32(other[1].scale) / np.float32(target.scale)),
        other[1].stored_zero_point,
        span,
    )
    problem = type(layer.problem)(
        layer.problem.geometry,  # type: ignore[arg-type]
        layer.problem.input_zero_point,
        layer.problem.output,
        layer.problem.weights_zero_point,
        addition,
    )
    return QuantizedLayer(
        problem,
        layer.source,
        other[0],
        layer.weights,
        layer.bias,
        layer.multipliers,
        (*layer.variables, real, total, *covered),
    )
