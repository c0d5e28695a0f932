"""The linear problems that kernels solve: shapes and epilogue, hashable, without any tactics."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod
from typing import Literal

from assay.compiler.kernels.epilogue import Epilogue
from assay.compiler.kernels.windows import Window

Layout = Literal["NHWC", "NCHW"]
"""The order of an image's axes: batch, height, width, channels."""


@dataclass(frozen=True)
class Conv2d:
    """A 2-D convolution, float32, activations in ``layout``.

    Output pixel (y, x) sums over taps at input row ``y * stride_h + i * dilation_h - pad_top``, and
    likewise for columns; taps outside the image are zero. Bottom and right padding follow from the
    output's size. Weights are HWIO: [kernel_h, kernel_w, in_c / groups, out_c], the output channels
    of a group side by side (a depthwise convolution has ``in_c`` groups). With ``input_gate`` the
    input is multiplied by a factor per batch item and channel (``gate_shape``). ``input_layout`` is
    the input's own layout, if that is not ``layout``.

    Kernel parameters, in order: input, packed weights, gate if any, epilogue operands, output.
    """

    batch: int
    in_h: int
    in_w: int
    in_c: int
    out_h: int
    out_w: int
    out_c: int
    kernel_h: int
    kernel_w: int
    stride_h: int = 1
    stride_w: int = 1
    pad_top: int = 0
    pad_left: int = 0
    dilation_h: int = 1
    dilation_w: int = 1
    groups: int = 1
    input_gate: bool = False
    epilogue: Epilogue = field(default=Epilogue())
    layout: Layout = "NHWC"
    input_layout: Layout | None = None

    def __post_init__(self) -> None:
        if self.in_c % self.groups or self.out_c % self.groups:
            raise ValueError(f"in_c and out_c must be multiples of {self.groups} groups: {self}")

    @property
    def channel_axis(self) -> int:
        """The channels' axis of the activations."""
        return self.layout.index("C")

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """Shape of the input."""
        layout = self.input_layout or self.layout
        return image_shape(layout, self.batch, self.in_h, self.in_w, self.in_c)

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        """Shape of the output."""
        return image_shape(self.layout, self.batch, self.out_h, self.out_w, self.out_c)

    @property
    def gate_shape(self) -> tuple[int, int, int, int]:
        """Shape of the input's gate."""
        return image_shape(self.layout, self.batch, 1, 1, self.in_c)

    @property
    def weights_shape(self) -> tuple[int, int, int, int]:
        """Shape of the weights before packing, HWIO."""
        return (self.kernel_h, self.kernel_w, self.in_c // self.groups, self.out_c)

    @property
    def rows(self) -> Window:
        """The window along the image's height."""
        return Window(
            self.in_h, self.out_h, self.kernel_h, self.stride_h, self.pad_top, self.dilation_h
        )

    @property
    def columns(self) -> Window:
        """The window along the image's width."""
        return Window(
            self.in_w, self.out_w, self.kernel_w, self.stride_w, self.pad_left, self.dilation_w
        )

    @property
    def flops(self) -> int:
        """Two for each multiply-add, padding included."""
        return 2 * prod(self.output_shape) * prod(self.weights_shape[:3])

    @property
    def in_any_layout(self) -> Conv2d:
        """The problem in NHWC if images are single pixels, which are the same in both layouts."""
        pixels = (self.in_h, self.in_w, self.out_h, self.out_w)
        return replace(self, layout="NHWC") if pixels == (1, 1, 1, 1) else self


@dataclass(frozen=True)
class Dense:
    """A matrix product with constant weights: [..., in_features] x [in_features, out_features].

    ``leading`` are the dimensions in front, which count as rows. Kernel parameters, in order:
    input, packed weights, epilogue operands, output.
    """

    leading: tuple[int, ...]
    in_features: int
    out_features: int
    epilogue: Epilogue = field(default=Epilogue())

    @property
    def rows(self) -> int:
        """Rows of the product."""
        return prod(self.leading)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of the input."""
        return (*self.leading, self.in_features)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the output."""
        return (*self.leading, self.out_features)

    @property
    def weights_shape(self) -> tuple[int, int]:
        """Shape of the weights before packing: [in_features, out_features]."""
        return (self.in_features, self.out_features)

    @property
    def flops(self) -> int:
        """Two for each multiply-add."""
        return 2 * self.rows * self.in_features * self.out_features


def image_shape(
    layout: Layout, batch: int, height: int, width: int, channels: int
) -> tuple[int, int, int, int]:
    """Return the shape of images in a layout."""
    if layout == "NCHW":
        return (batch, channels, height, width)
    return (batch, height, width, channels)
