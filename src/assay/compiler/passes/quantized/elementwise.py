"""Read sums, differences, products and PRELU of two quantized tensors, and requantization."""

from __future__ import annotations

from typing import Any

import numpy as np

from assay.compiler import tvm_api
from assay.compiler.kernels.int8.elementwise import (
    Operand,
    QuantizedAdd,
    QuantizedMultiply,
    QuantizedPrelu,
    Requantize,
)
from assay.compiler.passes.chains import Graph
from assay.compiler.passes.quantized.affine import Affine, dequantized, quantized
from assay.compiler.passes.quantized.operator import QuantizedOperator


def read_binary(graph: Graph, var: Any) -> QuantizedOperator | None:
    """Read ``add``, ``subtract`` or ``multiply`` of two dequantized tensors that broadcast.

    A difference that is multiplied by itself is one operator with it.
    """
    arguments = graph.value[var].args
    if graph.calls(var) == "multiply" and arguments[0].same_as(arguments[1]):
        return _read_square(graph, var)
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


def _read_square(graph: Graph, var: Any) -> QuantizedOperator | None:
    difference = graph.value[var].args[0]
    alone = graph.users.get(difference) == [var, var]
    if not alone or graph.calls(difference) != "subtract":
        return None
    operands = [dequantized(graph, argument) for argument in graph.value[difference].args]
    stored = quantized(graph, var)
    if stored is None or operands[0] is None or operands[1] is None:
        return None
    _, target, span, covered = stored
    (left, left_affine), (right, right_affine) = operands[0], operands[1]
    root = np.sqrt(np.float32(target.scale))
    problem = QuantizedAdd(
        tvm_api.static_shape(var),
        operand(left, left_affine),
        float(np.float32(left_affine.scale) / root),
        operand(right, right_affine),
        -float(np.float32(right_affine.scale) / root),
        span,
        squared=True,
    )
    return QuantizedOperator(problem, (difference, var, *covered), (left, right))


def read_prelu(graph: Graph, var: Any) -> QuantizedOperator | None:
    """Read ``maximum(v, 0) + minimum(v, 0) * slope`` of dequantized tensors from its maximum on."""
    value = graph.value[var].args[0]
    minima = [user for user in graph.users.get(value, []) if _limits(graph, user, "minimum")]
    scaled = graph.only_user(minima[0]) if len(minima) == 1 else None
    total = graph.only_user(var)
    joins = graph.calls(total) == "add" and graph.only_user(scaled) is total
    if not _limits(graph, var, "maximum") or not joins or graph.calls(scaled) != "multiply":
        return None
    first, second = graph.value[scaled].args
    slope = second if first.same_as(minima[0]) else first
    left, right, stored = dequantized(graph, value), dequantized(graph, slope), None
    if tvm_api.static_shape(total) == tvm_api.static_shape(value):
        stored = quantized(graph, total)
    if left is None or right is None or stored is None:
        return None
    _, target, span, covered = stored
    factor = np.float32(left[1].scale) / np.float32(target.scale)
    problem = QuantizedPrelu(
        tvm_api.static_shape(total),
        operand(*left),
        float(factor),
        operand(*right),
        float(factor * np.float32(right[1].scale)),
        span,
    )
    variables = (var, minima[0], scaled, total, *covered)
    return QuantizedOperator(problem, variables, (left[0], right[0]))


def _limits(graph: Graph, var: Any, name: str) -> bool:
    """Tell whether a variable is its operand limited by zero."""
    if graph.calls(var) != name:
        return False
    limit = tvm_api.constant_value(graph.value[var].args[1])
    return limit is not None and limit.size == 1 and limit.item() == 0


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
