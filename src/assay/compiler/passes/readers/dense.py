"""Read matrix products with constant weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from assay.compiler import tvm_api
from assay.compiler.kernels.problem import Dense
from assay.compiler.passes.chains import Graph
from assay.compiler.passes.readers.operator import Operator


def read(graph: Graph, var: Any) -> Operator | None:
    """Read ``matmul`` of a float32 tensor with constant weights [in_features, out_features]."""
    source, right = graph.value[var].args
    weights = tvm_api.constant_value(right)
    if weights is None or weights.dtype != np.float32 or weights.ndim != 2:
        return None
    if str(source.ty.dtype) != "float32":
        return None
    problem = Dense(tvm_api.static_shape(source)[:-1], *weights.shape)
    return Operator(problem, (var,), (source,), weights)
