"""Read matrix products; those of two computed tensors are read elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np

from assay.compiler import tvm_api
from assay.compiler.kernels.problem import Dense
from assay.compiler.passes.chains import Graph
from assay.compiler.passes.readers import batch_matmul
from assay.compiler.passes.readers.operator import Operator


def read(graph: Graph, var: Any) -> Operator | None:
    """Read ``matmul``: of a tensor with constant weights [in_features, out_features], or of two."""
    source, right = graph.value[var].args
    weights = tvm_api.constant_value(right)
    if weights is None or weights.ndim != 2:
        return batch_matmul.read(graph, var)
    if weights.dtype != np.float32:
        return None
    if str(source.ty.dtype) != "float32":
        return None
    problem = Dense(tvm_api.static_shape(source)[:-1], *weights.shape)
    return Operator(problem, (var,), (source,), weights)
