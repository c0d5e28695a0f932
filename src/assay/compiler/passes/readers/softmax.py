"""Read softmax."""

from __future__ import annotations

from typing import Any

from assay.compiler import tvm_api
from assay.compiler.kernels.softmax import Softmax
from assay.compiler.passes.chains import Graph
from assay.compiler.passes.readers.operator import Operator


def read(graph: Graph, var: Any) -> Operator | None:
    """Read ``nn.softmax`` of float32 along the last axis."""
    call = graph.value[var]
    source = call.args[0]
    shape = tvm_api.static_shape(source)
    last = int(call.attrs.axis) % len(shape) == len(shape) - 1
    if not last or str(source.ty.dtype) != "float32":
        return None
    return Operator(Softmax(shape), (var,), (source,))
