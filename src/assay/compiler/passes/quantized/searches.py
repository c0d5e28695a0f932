"""Read searches for the largest or smallest of quantized values: only their order matters."""

from __future__ import annotations

from typing import Any

from assay.compiler import tvm_api
from assay.compiler.kernels.int8.argmax import QuantizedArg
from assay.compiler.passes.chains import Graph
from assay.compiler.passes.layouts import axes
from assay.compiler.passes.quantized.affine import SHIFTS
from assay.compiler.passes.quantized.operator import QuantizedOperator


def read(graph: Graph, var: Any) -> QuantizedOperator | None:
    """Read ``argmax`` or ``argmin`` of an 8-bit tensor, and the integers' conversion behind it.

    A transpose in front becomes a part of it if that leaves the other axes in order.
    """
    call = graph.value[var]
    source = call.args[0]
    if str(source.ty.dtype) not in SHIFTS or call.attrs.axis is None:
        return None
    axis = int(call.attrs.axis) % len(source.ty.shape)
    if graph.calls(source) == "permute_dims":
        order = axes(graph.value[source])
        others = [each for place, each in enumerate(order) if place != axis]
        if others == sorted(others):
            source, axis = graph.value[source].args[0], order[axis]
    user = graph.only_user(var)
    converted = graph.calls(user) == "astype" and str(user.ty.dtype) in ("int32", "int64")
    variables = (var, user) if converted else (var,)
    problem = QuantizedArg(
        "max" if graph.calls(var) == "argmax" else "min",
        tvm_api.static_shape(source),
        axis,
        "int32" if str(variables[-1].ty.dtype) == "int32" else "int64",
    )
    return QuantizedOperator(problem, variables, (source,))
