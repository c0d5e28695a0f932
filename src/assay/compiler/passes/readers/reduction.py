"""Read reductions along neighbouring axes."""

from __future__ import annotations

from math import prod
from typing import Any

from assay.compiler import tvm_api
from assay.compiler.kernels.reduction import Reduction
from assay.compiler.passes.chains import Graph
from assay.compiler.passes.readers.operator import Operator


def read(graph: Graph, var: Any) -> Operator | None:
    """Read ``mean``, ``sum``, ``max`` or ``min`` of float32 along axes without a gap."""
    call = graph.value[var]
    source = call.args[0]
    shape = tvm_api.static_shape(source)
    given = range(len(shape)) if call.attrs.axis is None else call.attrs.axis
    axes = sorted(int(axis) % len(shape) for axis in given)
    if str(source.ty.dtype) != "float32" or not axes or not prod(shape):
        return None
    if axes != list(range(axes[0], axes[-1] + 1)):
        return None
    first, last = axes[0], axes[-1] + 1
    sizes = (prod(shape[:first]), prod(shape[first:last]), prod(shape[last:]))
    return Operator(Reduction(graph.calls(var), *sizes), (var,), (source,))
