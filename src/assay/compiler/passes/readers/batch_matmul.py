"""Read matrix products of tensors that are computed, with the transposes around them."""

from __future__ import annotations

from math import prod
from typing import Any

from assay.compiler import tvm_api
from assay.compiler.kernels.batch_matmul import BatchMatmul, View
from assay.compiler.passes.chains import Graph
from assay.compiler.passes.readers.operator import Operator


def read(graph: Graph, var: Any) -> Operator | None:
    """Read ``matmul`` of float32 tensors of two or more dimensions."""
    arguments = graph.value[var].args
    shapes = [tvm_api.static_shape(argument) for argument in arguments]
    floats = all(str(argument.ty.dtype) == "float32" for argument in arguments)
    if not floats or min(map(len, shapes)) < 2:
        return None
    shape = tvm_api.static_shape(var)
    viewed = [_view(graph, argument, len(shape)) for argument in arguments]
    (left, right), sources = (tuple(view for view, _, _ in viewed), [s for _, s, _ in viewed])
    absorbed = tuple(each for _, _, variables in viewed for each in variables)
    variables, axes = transposed_result(graph, var, len(shape))
    problem = with_result(shape, shapes[0][-1], left, right, axes)
    return Operator(problem, variables, tuple(sources), absorbed=absorbed)


def with_result(
    shape: tuple[int, ...], depth: int, left: View, right: View, axes: list[int]
) -> BatchMatmul:
    """Return the problem of a product of that shape whose axes are stored in another order."""
    *batch, rows, columns = shape
    output = tuple(shape[axis] for axis in axes)
    steps = {axis: prod(output[place + 1 : -1]) for place, axis in enumerate(axes[:-1])}
    row_steps = tuple(steps[axis] for axis in range(len(shape) - 1))
    return BatchMatmul(tuple(batch), rows, depth, columns, left, right, output, row_steps)


def _view(graph: Graph, var: Any, rank: int) -> tuple[View, Any, tuple[Any, ...]]:
    """Return the operand as a view of what its transposes start from, that, and the transposes."""
    axes = list(range(len(tvm_api.static_shape(var))))
    absorbed: list[Any] = []
    while graph.calls(var) == "permute_dims" and var not in graph.taken:
        absorbed.append(var)
        axes = transposed_axes(graph, var, axes)
        var = graph.value[var].args[0]
    return view_of(var, axes, rank), var, tuple(absorbed)


def view_of(expr: Any, axes: list[int], rank: int) -> View:
    """Return a tensor, its axes in that order, as the operand of a product of ``rank`` axes."""
    shape = tvm_api.static_shape(expr)
    steps = [0 if shape[axis] == 1 else prod(shape[axis + 1 :]) for axis in axes]
    return View(shape, (0,) * (rank - len(axes)) + tuple(steps))


def transposed_axes(graph: Graph, var: Any, axes: list[int]) -> list[int]:
    """Return which axes of a transpose's argument ``axes`` of its result are."""
    given = _axes(graph, var)
    return [given[axis] for axis in axes]


def transposed_result(graph: Graph, var: Any, rank: int) -> tuple[tuple[Any, ...], list[int]]:
    """Return the variables up to a transpose of the result, if rows stay whole, and its axes."""
    user = graph.only_user(var)
    if graph.calls(user) == "permute_dims" and user not in graph.taken:
        axes = _axes(graph, user)
        if axes[0] == 0 and axes[-1] == rank - 1:
            return (var, user), axes
    return (var,), list(range(rank))


def _axes(graph: Graph, var: Any) -> list[int]:
    call = graph.value[var]
    rank = len(tvm_api.static_shape(var))
    given = call.attrs.axes
    return list(range(rank))[::-1] if given is None else [int(axis) % rank for axis in given]
