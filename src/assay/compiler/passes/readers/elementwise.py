"""Read element-wise operators that no other kernel took along."""

from __future__ import annotations

from typing import Any

from assay.compiler import tvm_api
from assay.compiler.kernels.elementwise import Elementwise
from assay.compiler.kernels.epilogue import Step
from assay.compiler.passes.chains import BINARY, UNARY, Graph, step_to
from assay.compiler.passes.readers.operator import Operator

OPERATORS = (*UNARY, *BINARY, "clip", "nn.leakyrelu")


def read(graph: Graph, var: Any) -> Operator | None:
    """Read an operator on float32 tensors, or the first of those that make a swish."""
    binary = graph.calls(var) in BINARY
    arguments = sorted(graph.value[var].args[: 1 + binary], key=tvm_api.is_constant)
    if any(str(argument.ty.dtype) != "float32" for argument in arguments):
        return None
    for source in arguments:
        found = step_to(graph, source, var)
        if found is not None:
            step, operand, variables = found
            inputs = (source,) if operand is None else (source, operand)
            return _operator(tuple(variables), inputs, step)
    both = tuple(graph.value[var].args)
    return _operator((var,), both, Step(graph.calls(var), "tensor")) if binary else None


def _operator(variables: tuple[Any, ...], inputs: tuple[Any, ...], step: Step) -> Operator:
    shapes = tuple(tvm_api.static_shape(each) for each in inputs)
    problem = Elementwise(tvm_api.static_shape(variables[-1]), shapes, (step,))
    return Operator(problem, variables, inputs)
