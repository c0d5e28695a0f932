"""Read constant 8-bit weights, which the importer dequantizes and moves before they are used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.compiler import tvm_api
from assay.compiler.kernels.int8.stored import SIGN_FLIP
from assay.compiler.passes.chains import Graph
from assay.compiler.passes.quantized.affine import SHIFTS

if TYPE_CHECKING:
    from numpy.typing import NDArray


MOVED_BY = ("reshape", "permute_dims")
"""Operators that constants may pass on their way to an operator."""


@dataclass(frozen=True)
class Weights:
    """Stored int8 values, their scales, and the zero point.

    ``scale_index`` has the shape of ``values`` and says which scale each of them has.
    """

    values: NDArray[np.int8]
    scales: NDArray[np.float32]
    scale_index: NDArray[np.intp]
    zero_point: int

    def per_output(
        self, ordered: Callable[[NDArray[Any]], NDArray[Any]]
    ) -> tuple[NDArray[np.int8], NDArray[np.float32]] | None:
        """Return values [..., outputs], brought in order, and the scale of each output.

        None if scales belong to anything but outputs.
        """
        values, index = ordered(self.values), ordered(self.scale_index)
        index = index.reshape(-1, index.shape[-1])
        if (index != index[0]).any():
            return None
        return values, self.scales[index[0]]


def read_weights(graph: Graph, expr: Any) -> Weights | None:
    """Read dequantized constant weights, looking through reshapes and transposes around that."""
    moves: list[Any] = []
    call = graph.value.get(expr)
    while call is not None and tvm_api.op_name(call) in MOVED_BY:
        moves.append(call)
        call = graph.value.get(call.args[0])
    if call is None or tvm_api.op_name(call) != "dequantize":
        return None
    scale, zero_point = (tvm_api.constant_value(arg) for arg in call.args[1:3])
    values = _moved_constant(graph, call.args[0])
    if values is None or scale is None or zero_point is None or len(np.unique(zero_point)) != 1:
        return None
    if str(values.dtype) not in SHIFTS:
        return None
    index = np.zeros(values.shape, np.intp)
    if scale.size > 1:
        axis = int(call.attrs.axis) % values.ndim
        index += np.arange(scale.size).reshape([-1 if i == axis else 1 for i in range(values.ndim)])
    for move in reversed(moves):
        values, index = (tvm_api.move_constant(move, array) for array in (values, index))
    shift = SIGN_FLIP if str(values.dtype) == "uint8" else 0
    stored = (values.astype(np.int16) - shift).astype(np.int8)
    return Weights(stored, scale.reshape(-1), index, int(zero_point.reshape(-1)[0]) - shift)


def _moved_constant(graph: Graph, expr: Any) -> NDArray[Any] | None:
    value = tvm_api.constant_value(expr)
    if value is not None:
        return value
    call = graph.value.get(expr)
    if call is None or tvm_api.op_name(call) not in MOVED_BY:
        return None
    inner = _moved_constant(graph, call.args[0])
    return None if inner is None else tvm_api.move_constant(call, inner)
