"""Read QUANTIZE of the model's inputs and DEQUANTIZE of its results.

Those inside the network stay as they are, for they tell what runs in floating point between them,
and TVM can join them to that.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from assay.compiler import tvm_api
from assay.compiler.kernels.int8.convert import Dequantize, Quantize
from assay.compiler.passes.chains import Graph
from assay.compiler.passes.quantized.affine import dequantized, read_affine
from assay.compiler.passes.quantized.operator import QuantizedOperator


def read_quantize(graph: Graph, var: Any) -> QuantizedOperator | None:
    """Read ``quantize`` of a float32 input, per tensor."""
    call = graph.value[var]
    affine = read_affine(call, str(call.attrs.out_dtype))
    inside = call.args[0] in graph.value or tvm_api.is_constant(call.args[0])
    if affine is None or inside:
        return None
    factor = float(np.float32(1) / np.float32(affine.scale))
    problem = Quantize(tvm_api.static_shape(var), factor, affine.stored_range())
    return QuantizedOperator(problem, (var,), (call.args[0],))


def read_dequantize(graph: Graph, var: Any) -> QuantizedOperator | None:
    """Read ``dequantize`` of an 8-bit tensor to a result, per tensor."""
    source = dequantized(graph, var)
    if source is None or tvm_api.is_constant(source[0]):
        return None
    if graph.users.get(var) != [None]:
        return None
    tensor, affine = source
    problem = Dequantize(tvm_api.static_shape(var), affine.stored_zero_point, affine.scale)
    return QuantizedOperator(problem, (var,), (tensor,))
