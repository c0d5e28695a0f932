"""Read quantized convolutions and dense layers."""

from __future__ import annotations

from functools import partial
from typing import Any

from assay.compiler import tvm_api
from assay.compiler.kernels.int8.problem import QuantizedConv2d, QuantizedDense
from assay.compiler.kernels.problem import Dense
from assay.compiler.passes.chains import Graph
from assay.compiler.passes.convolutions import read_convolution, weights_hwio
from assay.compiler.passes.padding import read_padding
from assay.compiler.passes.quantized.affine import dequantized
from assay.compiler.passes.quantized.layer import Layer, Sums, completed, with_addition
from assay.compiler.passes.quantized.operator import QuantizedOperator
from assay.compiler.passes.quantized.weights import read_weights


def read(graph: Graph, var: Any) -> QuantizedOperator | None:
    """Read a layer, and the addition that may follow."""
    return with_addition(graph, read_layer(graph, var))


def read_layer(graph: Graph, var: Any) -> Layer | None:
    """Read ``nn.conv2d`` or ``matmul`` of dequantized activations and constant weights."""
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
    tensor, affine = source
    padding = read_padding(graph, tensor, geometry.layout) if convolution else None
    if padding is not None and padding.value == affine.zero_point:
        tensor, geometry = padding.source, padding.taken_by(geometry)
    make = partial(QuantizedConv2d if convolution else QuantizedDense, geometry)
    zero_point = weights.zero_point
    sums = Sums(make, (var,), (tensor,), affine, scales, zero_point, (values,))
    return completed(graph, sums)


def _dense(call: Any) -> Dense | None:
    left, right = (tvm_api.static_shape(arg) for arg in call.args)
    return Dense(left[:-1], *right) if len(right) == 2 else None
