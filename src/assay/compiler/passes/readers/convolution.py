"""Read convolutions with constant weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from assay.compiler import tvm_api
from assay.compiler.passes.chains import Graph
from assay.compiler.passes.convolutions import read_convolution
from assay.compiler.passes.readers.operator import Operator


def read(graph: Graph, var: Any) -> Operator | None:
    """Read ``nn.conv2d`` in NHWC with constant float32 weights."""
    call = graph.value[var]
    weights = tvm_api.constant_value(call.args[1])
    if weights is None or weights.dtype != np.float32:
        return None
    problem = read_convolution(call)
    if problem is None:
        return None
    return Operator(problem, (var,), (call.args[0],), weights.reshape(problem.weights_shape))
