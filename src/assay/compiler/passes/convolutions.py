"""Read the shapes and attributes of a Relax convolution as a kernel's problem."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from assay.compiler import tvm_api
from assay.compiler.kernels.problem import Conv2d

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KERNEL_LAYOUTS = {"NHWC": ("HWIO", "HWOI"), "NCHW": ("OIHW",)}


def read_convolution(call: Any) -> Conv2d | None:
    """Return the problem of a ``conv2d``, None if its layouts are not ones kernels take.

    In NHWC, weights have to be HWIO, or HWOI of a depthwise convolution (one input channel a
    group); in NCHW they have to be OIHW. :func:`weights_hwio` brings them in order.
    """
    attrs = call.attrs
    layout, kernel_layout = str(attrs.data_layout), str(attrs.kernel_layout)
    if str(attrs.out_layout) != layout or kernel_layout not in _KERNEL_LAYOUTS.get(layout, ()):
        return None
    batch, in_h, in_w, in_c = image_extents(call.args[0], layout)
    groups = int(attrs.groups)
    if kernel_layout == "HWOI" and (groups != in_c or groups == 1):
        return None
    kernel = tvm_api.static_shape(call.args[1])
    kernel_h, kernel_w = (kernel[kernel_layout.index(axis)] for axis in "HW")
    _, out_h, out_w, out_c = image_extents(call, layout)
    stride_h, stride_w = (int(value) for value in attrs.strides)
    dilation_h, dilation_w = (int(value) for value in attrs.dilation)
    pad_top, pad_left = (int(value) for value in attrs.padding[:2])
    return Conv2d(
        batch, in_h, in_w, in_c, out_h, out_w, out_c, kernel_h, kernel_w,
        stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups,
        layout="NCHW" if layout == "NCHW" else "NHWC",
    )  # fmt: skip


def image_extents(expr: Any, layout: str) -> tuple[int, int, int, int]:
    """Return batch, height, width and channels of an image tensor."""
    shape = tvm_api.static_shape(expr)
    batch, height, width, channels = (shape[layout.index(axis)] for axis in "NHWC")
    return batch, height, width, channels


def weights_hwio(call: Any, problem: Conv2d, weights: NDArray[Any]) -> NDArray[Any]:
    """Return a convolution's weights as ``Conv2d.weights_shape``."""
    if problem.layout == "NCHW":
        window = (problem.kernel_h, problem.kernel_w)
        inputs = problem.in_c // problem.groups
        return weights.reshape(problem.out_c, inputs, *window).transpose(2, 3, 1, 0)
    return weights.reshape(problem.weights_shape)
