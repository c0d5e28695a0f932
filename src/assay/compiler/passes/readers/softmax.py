"""Read softmax."""

from __future__ import annotations

from typing import Any

from assay.compiler import tvm_api
from assay.compiler.kernels.softmax import Softmax
from assay.compiler.passes.chains import Graph
from assay.compiler.passes.readers.operator import Operator


def read(graph: Graph, var: Any) -> Operator | None:
    """Read ``nn.softmax`` of float32."""
    call = graph.value[var]
    source = call.args[0]
    if str(source.ty.dtype) != "float32":
        return None
    shape = tvm_api.static_shape(source)
    axis = int(call.attrs.axis) % len(shape)
    return Operator(Softmax(shape, axis=axis), (var,), (source,))
