"""Read the shapes and attributes of a Relax convolution as a kernel's problem."""

from __future__ import annotations

from typing import Any

from assay.compiler import tvm_api
from assay.compiler.kernels.problem import Conv2d


def read_convolution(call: Any) -> Conv2d | None:
    """Return the problem of a ``conv2d`` in NHWC, None if its layouts are not ones kernels take.

    Weights have to be HWIO, or HWOI of a depthwise convolution (one input channel a group), which
    reshapes to ``Conv2d.weights_shape`` without moving an element.
    """
    attrs = call.attrs
    layouts = (str(attrs.data_layout), str(attrs.kernel_layout))
    batch, in_h, in_w, in_c = tvm_api.static_shape(call.args[0])
    groups = int(attrs.groups)
    depthwise = groups == in_c and groups > 1
    if layouts not in (("NHWC", "HWIO"), ("NHWC", "HWOI")):
        return None
    if layouts[1] == "HWOI" and not depthwise:
        return None
    kernel_h, kernel_w = tvm_api.static_shape(call.args[1])[:2]
    _, out_h, out_w, out_c = tvm_api.static_shape(call)
    stride_h, stride_w = (int(value) for value in attrs.strides)
    dilation_h, dilation_w = (int(value) for value in attrs.dilation)
    pad_top, pad_left = (int(value) for value in attrs.padding[:2])
    return Conv2d(
        batch, in_h, in_w, in_c, out_h, out_w, out_c, kernel_h, kernel_w,
        stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups,
    )  # fmt: skip
