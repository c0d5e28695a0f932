"""Read matrix products of two quantized tensors that are computed, with the transposes of them."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from assay.compiler import tvm_api
from assay.compiler.kernels.int8.problem import QuantizedBatchMatmul
from assay.compiler.kernels.int8.stored import SIGN_FLIP
from assay.compiler.passes.chains import Graph
from assay.compiler.passes.quantized import linear
from assay.compiler.passes.quantized.affine import Affine, dequantized
from assay.compiler.passes.quantized.layer import Layer, Sums, completed, with_addition
from assay.compiler.passes.quantized.operator import QuantizedOperator
from assay.compiler.passes.readers.batch_matmul import transposed_axes, view_of, with_result


def read(graph: Graph, var: Any) -> QuantizedOperator | None:
    """Read a product, and the addition that may follow."""
    return with_addition(graph, read_layer(graph, var))


def read_layer(graph: Graph, var: Any) -> Layer | None:
    """Read ``matmul``: of dequantized activations with constant weights, or of two of them."""
    return linear.read_layer(graph, var) or _of_two(graph, var)


def _of_two(graph: Graph, var: Any) -> Layer | None:
    arguments = graph.value[var].args
    shapes = [tvm_api.static_shape(argument) for argument in arguments]
    if min(map(len, shapes)) < 2:
        return None
    left, right = (_operand(graph, argument) for argument in arguments)
    if left is None or right is None:
        return None
    shape = tvm_api.static_shape(var)
    rank, own = len(shape), list(range(len(shape)))
    views = [view_of(tensor, axes, rank) for tensor, axes, _ in (left, right)]
    geometry = with_result(shape, shapes[0][-1], views[0], views[1], own)
    scales = np.full(shape[-1], right[2].scale, np.float32)
    zero_point = right[2].stored_zero_point - SIGN_FLIP
    make = partial(QuantizedBatchMatmul, geometry)
    sources = (left[0], right[0])
    sums = Sums(make, (var,), sources, left[2], scales, zero_point)
    return completed(graph, sums)


def _operand(graph: Graph, expr: Any) -> tuple[Any, list[int], Affine] | None:
    """Return an 8-bit tensor, which of its axes are the operand's, and its quantization."""
    axes = list(range(len(tvm_api.static_shape(expr))))
    affine: Affine | None = None
    while True:
        found = dequantized(graph, expr) if affine is None else None
        if found is not None:
            expr, affine = found
        elif graph.calls(expr) == "permute_dims" and expr not in graph.taken:
            axes = transposed_axes(graph, expr, axes)
            expr = graph.value[expr].args[0]
        else:
            return None if affine is None else (expr, axes, affine)
