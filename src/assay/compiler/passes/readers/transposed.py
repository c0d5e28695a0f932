"""Read transposed convolutions with constant weights."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.compiler import tvm_api
from assay.compiler.kernels.transposed import TransposedConv2d
from assay.compiler.passes.chains import Graph
from assay.compiler.passes.layouts import TO_NCHW, TO_NHWC
from assay.compiler.passes.readers.operator import Operator

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read(graph: Graph, var: Any) -> Operator | None:
    """Read ``nn.conv2d_transpose``; between transposes from and to NHWC it is one in NHWC.

    TVM knows the operator in NCHW only, so that this is how one in NHWC is spelled.
    """
    call = graph.value[var]
    weights = tvm_api.constant_value(call.args[1])
    before, after = call.args[0], graph.only_user(var)
    if weights is None or weights.dtype != np.float32 or str(before.ty.dtype) != "float32":
        return None
    problem = read_transposed(call)
    if problem is None:
        return None
    hwio = weights_hwio(problem, weights)
    if order(graph, before) != TO_NCHW or order(graph, after) != TO_NHWC:
        return Operator(replace(problem, layout="NCHW"), (var,), (before,), hwio)
    return Operator(problem, (var, after), (graph.value[before].args[0],), hwio, absorbed=(before,))


def read_transposed(call: Any) -> TransposedConv2d | None:
    """Return the problem of a ``conv2d_transpose`` in NCHW, as kernels solve it in NHWC."""
    attrs = call.attrs
    layouts = (str(attrs.data_layout), str(attrs.out_layout), str(attrs.kernel_layout))
    dilated = any(int(value) != 1 for value in attrs.dilation)
    if layouts != ("NCHW", "NCHW", "IOHW") or dilated:
        return None
    batch, in_c, in_h, in_w = tvm_api.static_shape(call.args[0])
    _, out_c, out_h, out_w = tvm_api.static_shape(call)
    kernel_h, kernel_w = tvm_api.static_shape(call.args[1])[2:]
    stride_h, stride_w = (int(value) for value in attrs.strides)
    pad_top, pad_left = (int(value) for value in attrs.padding[:2])
    return TransposedConv2d(
        batch, in_h, in_w, in_c, out_h, out_w, out_c, kernel_h, kernel_w,
        stride_h, stride_w, pad_top, pad_left, int(attrs.groups),
    )  # fmt: skip


def weights_hwio(problem: TransposedConv2d, weights: NDArray[Any]) -> NDArray[Any]:
    """Return weights IOHW as ``TransposedConv2d.weights_shape``."""
    groups, window = problem.groups, weights.shape[2:]
    inputs, outputs = problem.in_c // groups, problem.out_c // groups
    by_group = weights.reshape(groups, inputs, outputs, *window)
    return by_group.transpose(3, 4, 1, 0, 2).reshape(problem.weights_shape)


def order(graph: Graph, var: Any) -> tuple[int, ...]:
    """Return the axes of the transpose that makes a variable, none if no transpose does."""
    if graph.calls(var) != "permute_dims":
        return ()
    return tuple(int(axis) for axis in graph.value[var].attrs.axes or ())
