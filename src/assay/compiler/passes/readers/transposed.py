"""Read transposed convolutions with constant weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from assay.compiler import tvm_api
from assay.compiler.kernels.transposed import TransposedConv2d
from assay.compiler.passes.chains import Graph
from assay.compiler.passes.readers.operator import Operator

_TO_NCHW = (0, 3, 1, 2)
_TO_NHWC = (0, 2, 3, 1)


def read(graph: Graph, var: Any) -> Operator | None:
    """Read ``nn.conv2d_transpose`` in NCHW between transposes from and to NHWC.

    TVM knows the operator in NCHW only, so that this is how one in NHWC is spelled.
    """
    call = graph.value[var]
    attrs = call.attrs
    weights = tvm_api.constant_value(call.args[1])
    before, after = call.args[0], graph.only_user(var)
    if weights is None or weights.dtype != np.float32 or str(before.ty.dtype) != "float32":
        return None
    layouts = (str(attrs.data_layout), str(attrs.out_layout), str(attrs.kernel_layout))
    dilated = any(int(value) != 1 for value in attrs.dilation)
    if layouts != ("NCHW", "NCHW", "IOHW") or dilated:
        return None
    if _axes(graph, before) != _TO_NCHW or _axes(graph, after) != _TO_NHWC:
        return None
    source = graph.value[before].args[0]
    batch, in_h, in_w, in_c = tvm_api.static_shape(source)
    _, out_h, out_w, out_c = tvm_api.static_shape(after)
    groups = int(attrs.groups)
    kernel_h, kernel_w = weights.shape[2:]
    stride_h, stride_w = (int(value) for value in attrs.strides)
    pad_top, pad_left = (int(value) for value in attrs.padding[:2])
    problem = TransposedConv2d(
        batch, in_h, in_w, in_c, out_h, out_w, out_c, kernel_h, kernel_w,
        stride_h, stride_w, pad_top, pad_left, groups,
    )  # fmt: skip
    by_group = weights.reshape(groups, in_c // groups, out_c // groups, kernel_h, kernel_w)
    hwio = by_group.transpose(3, 4, 1, 0, 2).reshape(problem.weights_shape)
    return Operator(problem, (var, after), (source,), hwio, absorbed=(before,))


def _axes(graph: Graph, var: Any) -> tuple[int, ...]:
    """Return the axes of the transpose that makes a variable, none if no transpose does."""
    if graph.calls(var) != "permute_dims":
        return ()
    return tuple(int(axis) for axis in graph.value[var].attrs.axes or ())
