"""Read quantized transposed convolutions, in NHWC or in NCHW."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from assay.compiler import tvm_api
from assay.compiler.kernels.int8.problem import QuantizedTransposedConv2d
from assay.compiler.kernels.transposed import TransposedConv2d
from assay.compiler.passes.chains import Graph
from assay.compiler.passes.layouts import TO_NCHW, TO_NHWC
from assay.compiler.passes.quantized.affine import dequantized
from assay.compiler.passes.quantized.layer import Layer, Sums, completed, with_addition
from assay.compiler.passes.quantized.operator import QuantizedOperator
from assay.compiler.passes.quantized.weights import read_weights
from assay.compiler.passes.readers.transposed import order, read_transposed, weights_hwio


def read(graph: Graph, var: Any) -> QuantizedOperator | None:
    """Read a layer, and the addition that may follow."""
    return with_addition(graph, read_layer(graph, var))


def read_layer(graph: Graph, var: Any) -> Layer | None:
    """Read ``nn.conv2d_transpose`` of dequantized activations and constant weights.

    A transpose from NHWC in front of it, or to NHWC behind it, becomes part of it.
    """
    call = graph.value[var]
    problem = read_transposed(call)
    weights = read_weights(graph, call.args[1])
    if problem is None or weights is None:
        return None
    ordered = weights.per_output(partial(weights_hwio, problem))
    before, after = call.args[0], graph.only_user(var)
    source_nchw, result_nchw = order(graph, before) != TO_NCHW, order(graph, after) != TO_NHWC
    source = dequantized(graph, before if source_nchw else graph.value[before].args[0])
    if ordered is None or source is None:
        return None
    variables = (var,) if result_nchw else (var, after)
    variables, problem = _extended(graph, variables, problem, result_nchw)
    values, scales = ordered
    make = partial(QuantizedTransposedConv2d, problem)
    zero_point = weights.zero_point
    sums = Sums(make, variables, (source[0],), source[1], scales, zero_point, (values,))
    found = completed(graph, sums)
    if found is None:
        return None
    layer, *result = found
    return replace(layer, source_nchw=source_nchw, result_nchw=result_nchw), *result


def _extended(
    graph: Graph, variables: tuple[Any, ...], problem: TransposedConv2d, nchw: bool
) -> tuple[tuple[Any, ...], TransposedConv2d]:
    """Take in zeros behind the last row and column: outputs that no input adds to."""
    padded = graph.only_user(variables[-1])
    if graph.calls(padded) != "nn.pad":
        return variables, problem
    call = graph.value[padded]
    zeros = tvm_api.scalar(call.attrs.pad_value) == 0 and str(call.attrs.pad_mode) == "constant"
    widths = [int(width) for width in call.attrs.pad_width]
    height, width = (2, 3) if nchw else (1, 2)
    behind = widths[2 * height + 1], widths[2 * width + 1]
    if not zeros or min(widths) < 0 or sum(widths) != sum(behind):
        return variables, problem
    out_h, out_w = problem.out_h + behind[0], problem.out_w + behind[1]
    return (*variables, padded), replace(problem, out_h=out_h, out_w=out_w)
