"""Read additions, subtractions and products of two quantized tensors, and requantization."""

from __future__ import annotations

from typing import Any

import numpy as np

from assay.compiler import tvm_api
from assay.compiler.kernels.int8.elementwise import (
    Operand,
    QuantizedAdd,
    QuantizedMultiply,
    Requantize,
)
from assay.compiler.passes.chains import Graph
from assay.compiler.passes.quantized.affine import Affine, dequantized, quantized
from assay.compiler.passes.quantized.operator import QuantizedOperator


def read_binary(graph: Graph, var: Any) -> QuantizedOperator | None:
    """Read ``add``, ``subtract`` or ``multiply`` of two dequantized tensors that broadcast."""
    operands = [dequantized(graph, argument) for argument in graph.value[var].args]
    stored = quantized(graph, var)
    if stored is None or operands[0] is None or operands[1] is None:
        return None
    _, target, span, covered = stored
    (left, left_affine), (right, right_affine) = operands[0], operands[1]
    shape = tvm_api.static_shape(var)
    name = graph.calls(var)
    ends = (operand(left, left_affine), operand(right, right_affine))
    factors = [
        float(np.float32(a.scale) / np.float32(target.scale)) for a in (left_affine, right_affine)
    ]
    problem: QuantizedAdd | QuantizedMultiply
    if name == "multiply":
        factor = float(np.float32(factors[0]) * np.float32(right_affine.scale))
        problem = QuantizedMultiply(shape, *ends, factor, span)
    else:
        sign = -1 if name == "subtract" else 1
        problem = QuantizedAdd(shape, ends[0], factors[0], ends[1], sign * factors[1], span)
    return QuantizedOperator(problem, (var, *covered), (left, right))


def read_requantization(graph: Graph, var: Any) -> QuantizedOperator | None:
    """Read a ``dequantize`` that is quantized again, with an activation between or behind."""
    source, stored = dequantized(graph, var), quantized(graph, var)
    if source is None or stored is None or tvm_api.is_constant(source[0]):
        return None
    _, target, span, covered = stored
    factor = float(np.float32(source[1].scale) / np.float32(target.scale))
    problem = Requantize(operand(*source), factor, span)
    return QuantizedOperator(problem, (var, *covered), (source[0],))


def operand(tensor: Any, affine: Affine) -> Operand:
    """Describe an 8-bit tensor as kernels take it."""
    return Operand(tvm_api.static_shape(tensor), affine.stored_zero_point)
