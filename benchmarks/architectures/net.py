"""Layers as TFLite's converter writes them, on the tests' FlatBuffer builder.

Weights are random and scaled to the fan-in (He et al., arXiv:1502.01852), so that values stay near
unit variance through any depth. That is why quantized networks need no calibration: the range of a
tensor follows from the operator that makes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.builder import GraphBuilder, per_axis, per_tensor

Shape = tuple[int, ...]
Scale = tuple[float, int]
"""Scale and zero point of an int8 tensor."""

WIDE: Scale = (12 / 255, 0)
POSITIVE: Scale = (6 / 255, -128)
UNIT: Scale = (1 / 256, -128)
SIGNED_UNIT: Scale = (1 / 128, 0)

_RANGES = {"RELU": POSITIVE, "RELU6": POSITIVE}


@dataclass(frozen=True)
class Value:
    """A tensor of the network; ``scale`` counts in quantized ones only."""

    index: int
    shape: Shape
    scale: Scale

    @property
    def channels(self) -> int:
        """Size of the last axis."""
        return self.shape[-1]


class Net:
    """A network under construction, FP32 or full INT8; images are NHWC."""

    def __init__(self, int8: bool, seed: int = 0) -> None:
        self.int8 = int8
        self.graph = GraphBuilder()
        self._rng = np.random.default_rng(seed)
        self._dtype = "int8" if int8 else "float32"

    def input(self, *shape: int) -> Value:
        """Add an input of about unit range."""
        quantization = per_tensor(*SIGNED_UNIT) if self.int8 else None
        index = self.graph.input(f"x{len(self.graph.inputs)}", shape, self._dtype, quantization)
        return Value(index, shape, SIGNED_UNIT)

    def output(self, *values: Value) -> None:
        """Make these the results."""
        self.graph.output(*(value.index for value in values))

    def op(
        self,
        name: str,
        inputs: list[Value | int],
        shape: Shape,
        scale: Scale | None = None,
        **options: Any,
    ) -> Value:
        """Add an operator; without ``scale`` the result has that of the first input."""
        first = inputs[0]
        if scale is None:
            assert isinstance(first, Value)
            scale = first.scale
        indices = [each.index if isinstance(each, Value) else each for each in inputs]
        quantization = per_tensor(*scale) if self.int8 else None
        index = self.graph.op(name, indices, shape, self._dtype, quantization, options=options)
        return Value(index, shape, scale)

    def integers(self, values: Any) -> int:
        """Add a constant that configures an operator."""
        return self.graph.constant(self._name("config"), np.array(values, np.int32))

    def constant(self, array: Any, scale: Scale = WIDE) -> Value:
        """Add a constant operand of an element-wise operator."""
        array = np.asarray(array, np.float32)
        name = self._name("constant")
        if not self.int8:
            return Value(self.graph.constant(name, array), array.shape, scale)
        stored = np.clip(np.rint(array / scale[0]) + scale[1], -128, 127).astype(np.int8)
        return Value(self.graph.constant(name, stored, per_tensor(*scale)), array.shape, scale)

    def noise(self, *shape: int) -> NDArray[np.float32]:
        """Return normally distributed values."""
        return self._rng.normal(0, 1, shape).astype(np.float32)

    def weights(self, shape: Shape, fan_in: int, axis: int, x: Value) -> list[Value | int]:
        """Return ``x`` with weights, per output channel along ``axis``, and a bias."""
        values = self._rng.normal(0, np.sqrt(1.6 / fan_in), shape).astype(np.float32)
        bias = self._rng.normal(0, 0.1, shape[axis]).astype(np.float32)
        if not self.int8:
            w = self.graph.constant(self._name("weights"), values)
            return [x, w, self.graph.constant(self._name("bias"), bias)]
        others = tuple(a for a in range(values.ndim) if a != axis)
        scales = np.abs(values).max(axis=others) / 127
        spread = [n if a == axis else 1 for a, n in enumerate(shape)]
        stored = np.rint(values / scales.reshape(spread)).astype(np.int8)
        w = self.graph.constant(self._name("weights"), stored, per_axis(list(scales), axis))
        bias_scales = scales * x.scale[0]
        rounded = np.rint(bias / bias_scales).astype(np.int32)
        b = self.graph.constant(self._name("bias"), rounded, per_axis(list(bias_scales), 0))
        return [x, w, b]

    def conv(
        self,
        x: Value,
        channels: int,
        kernel: int | tuple[int, int] = 1,
        stride: int = 1,
        act: str = "NONE",
        *,
        padding: str = "SAME",
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
    ) -> Value:
        """CONV_2D, with fewer input channels in the weights if there are ``groups``."""
        kernel_h, kernel_w = _pair(kernel)
        dilation_h, dilation_w = _pair(dilation)
        fan_in = x.channels // groups * kernel_h * kernel_w
        w = (channels, kernel_h, kernel_w, x.channels // groups)
        size = self._windows(x, (kernel_h, kernel_w), stride, padding, (dilation_h, dilation_w))
        return self.op(
            "CONV_2D", self.weights(w, fan_in, 0, x), (x.shape[0], *size, channels),
            _RANGES.get(act, WIDE), padding=padding, stride_h=stride, stride_w=stride,
            dilation_h=dilation_h, dilation_w=dilation_w, activation=act,
        )  # fmt: skip

    def depthwise(
        self,
        x: Value,
        kernel: int | tuple[int, int] = 3,
        stride: int = 1,
        act: str = "NONE",
        *,
        padding: str = "SAME",
        dilation: int | tuple[int, int] = 1,
    ) -> Value:
        """DEPTHWISE_CONV_2D with multiplier 1."""
        kernel_h, kernel_w = _pair(kernel)
        dilation_h, dilation_w = _pair(dilation)
        w = (1, kernel_h, kernel_w, x.channels)
        size = self._windows(x, (kernel_h, kernel_w), stride, padding, (dilation_h, dilation_w))
        return self.op(
            "DEPTHWISE_CONV_2D", self.weights(w, kernel_h * kernel_w, 3, x),
            (x.shape[0], *size, x.channels), _RANGES.get(act, WIDE), padding=padding,
            stride_h=stride, stride_w=stride, dilation_h=dilation_h, dilation_w=dilation_w,
            activation=act,
        )  # fmt: skip

    def up_conv(self, x: Value, channels: int, kernel: int = 2, stride: int = 2) -> Value:
        """TRANSPOSE_CONV that enlarges the image ``stride`` times."""
        n, h, w, c = x.shape
        shape = (n, h * stride, w * stride, channels)
        fan_in = max(1, c * kernel * kernel // stride**2)
        _, weights, bias = self.weights((channels, kernel, kernel, c), fan_in, 0, x)
        inputs = [self.integers(shape), weights, x, bias]
        return self.op(
            "TRANSPOSE_CONV", inputs, shape, WIDE, padding="SAME", stride_h=stride, stride_w=stride
        )

    def dense(self, x: Value, features: int, act: str = "NONE") -> Value:
        """FULLY_CONNECTED over the last axis."""
        inputs = self.weights((features, x.channels), x.channels, 0, x)
        return self.op(
            "FULLY_CONNECTED", inputs, (*x.shape[:-1], features), _RANGES.get(act, WIDE),
            activation=act, keep_num_dims=len(x.shape) != 2,
        )  # fmt: skip

    def pool(self, x: Value, kind: str, kernel: int, stride: int, padding: str = "SAME") -> Value:
        """``kind`` is MAX or AVERAGE."""
        size = self._windows(x, (kernel, kernel), stride, padding, (1, 1))
        return self.op(
            f"{kind}_POOL_2D", [x], (x.shape[0], *size, x.channels), padding=padding,
            stride_h=stride, stride_w=stride, filter_h=kernel, filter_w=kernel,
        )  # fmt: skip

    def mean(self, x: Value, axes: tuple[int, ...] = (1, 2), keep: bool = False) -> Value:
        """MEAN over axes, such as the pixels of an image."""
        axes = tuple(axis % len(x.shape) for axis in axes)
        kept = tuple(1 if a in axes else n for a, n in enumerate(x.shape))
        shape = kept if keep else tuple(n for a, n in enumerate(x.shape) if a not in axes)
        return self.op("MEAN", [x, self.integers(axes)], shape, keep_dims=keep)

    def binary(
        self, name: str, a: Value, b: Value, act: str = "NONE", scale: Scale | None = None
    ) -> Value:
        """ADD, MUL and the like; operands may be broadcast."""
        shape = tuple(np.broadcast_shapes(a.shape, b.shape))
        return self.op(name, [a, b], shape, scale or _RANGES.get(act, WIDE), activation=act)

    def unary(self, name: str, x: Value, scale: Scale | None = None, **options: Any) -> Value:
        """An operator on each element."""
        return self.op(name, [x], x.shape, scale, **options)

    def concat(self, values: list[Value], axis: int = -1) -> Value:
        """CONCATENATION; the widest range holds all, and LiteRT demands that all parts have it."""
        axis %= len(values[0].shape)
        size = sum(value.shape[axis] for value in values)
        shape = tuple(size if a == axis else n for a, n in enumerate(values[0].shape))
        scale = max((value.scale for value in values), key=lambda each: each[0])
        alike = [
            self.unary("QUANTIZE", value, scale) if self.int8 and value.scale != scale else value
            for value in values
        ]
        return self.op("CONCATENATION", [*alike], shape, scale, axis=axis)

    def pad(self, x: Value, *widths: tuple[int, int], mode: str = "PAD", **options: Any) -> Value:
        """PAD or MIRROR_PAD by a pair for each axis."""
        shape = tuple(n + sum(pair) for n, pair in zip(x.shape, widths, strict=True))
        return self.op(mode, [x, self.integers(widths)], shape, **options)

    def resize(self, x: Value, kind: str, times: int = 2, size: int = 0) -> Value:
        """RESIZE_BILINEAR or RESIZE_NEAREST_NEIGHBOR, from the centres of pixels."""
        n, h, w, c = x.shape
        new = (size, size) if size else (h * times, w * times)
        centres = kind == "BILINEAR"
        name = "RESIZE_BILINEAR" if centres else "RESIZE_NEAREST_NEIGHBOR"
        inputs = [x, self.integers(new)]
        return self.op(name, inputs, (n, *new, c), half_pixel_centers=centres)

    def reshape(self, x: Value, *shape: int) -> Value:
        """RESHAPE; one size may be -1."""
        rest = prod(x.shape) // abs(prod(shape)) if -1 in shape else 1
        full = tuple(rest if n == -1 else n for n in shape)
        return self.op("RESHAPE", [x, self.integers(full)], full, new_shape=full)

    def transpose(self, x: Value, *axes: int) -> Value:
        """TRANSPOSE."""
        return self.op("TRANSPOSE", [x, self.integers(axes)], tuple(x.shape[a] for a in axes))

    def part(self, x: Value, begin: Shape, end: Shape, steps: Shape) -> Value:
        """STRIDED_SLICE, all bounds given."""
        shape = tuple(-(-(e - b) // s) for b, e, s in zip(begin, end, steps, strict=True))
        inputs = [x, *(self.integers(each) for each in (begin, end, steps))]
        return self.op("STRIDED_SLICE", inputs, shape)

    def channels(self, x: Value, begin: int, end: int) -> Value:
        """Return a range of channels."""
        rank = len(x.shape)
        return self.part(x, (0,) * (rank - 1) + (begin,), (*x.shape[:-1], end), (1,) * rank)

    def matmul(self, a: Value, b: Value, transpose_b: bool = False) -> Value:
        """BATCH_MATMUL."""
        columns = b.shape[-2] if transpose_b else b.shape[-1]
        return self.op("BATCH_MATMUL", [a, b], (*a.shape[:-1], columns), WIDE, adj_y=transpose_b)

    def leaky(self, x: Value) -> Value:
        """LEAKY_RELU as in Darknet."""
        return self.unary("LEAKY_RELU", x, alpha=0.1)

    def sigmoid(self, x: Value) -> Value:
        """LOGISTIC, in the range that TFLite prescribes."""
        return self.unary("LOGISTIC", x, UNIT)

    def prelu(self, x: Value) -> Value:
        """PRELU with a slope per channel."""
        slope = self.constant(self._rng.uniform(0.05, 0.4, (1, 1, x.channels)), (0.4 / 127, 0))
        return self.op("PRELU", [x, slope], x.shape)

    def swish(self, x: Value) -> Value:
        """``x * sigmoid(x)``, of two operators as converted."""
        return self.binary("MUL", x, self.sigmoid(x))

    def softmax(self, x: Value) -> Value:
        """SOFTMAX over the last axis."""
        return self.unary("SOFTMAX", x, UNIT, beta=1.0)

    def batch_norm(self, x: Value, act: str = "NONE") -> Value:
        """MUL and ADD per channel, where no convolution before could take them."""
        factor = self._rng.uniform(0.7, 1.3, x.channels)
        offset = self._rng.normal(0, 0.2, x.channels)
        scaled = self.binary("MUL", x, self.constant(factor, (1.3 / 127, 0)))
        return self.binary("ADD", scaled, self.constant(offset, (1 / 127, 0)), act)

    def layer_norm(self, x: Value, axes: tuple[int, ...] = (-1,)) -> Value:
        """Spelled out as the converter does, with a factor and an offset per channel."""
        mean = self.mean(x, axes, keep=True)
        squares = self.binary("SQUARED_DIFFERENCE", x, mean, scale=(0.1, -128))
        variance = self.mean(squares, axes, keep=True)
        shifted = self.binary("ADD", variance, self.constant(1e-3, (1e-5, 0)), scale=(0.05, -128))
        inverse = self.unary("RSQRT", shifted, (8 / 255, -128))
        factor = self.constant(self._rng.uniform(0.7, 1.3, x.channels), (1.3 / 127, 0))
        offset = self.constant(self._rng.normal(0, 0.2, x.channels), (1 / 127, 0))
        slope = self.binary("MUL", inverse, factor)
        centred = self.binary("SUB", offset, self.binary("MUL", mean, slope))
        return self.binary("ADD", self.binary("MUL", x, slope), centred)

    def classify(self, x: Value, classes: int) -> None:
        """End with global pooling, a dense layer and softmax."""
        self.output(self.softmax(self.dense(self.mean(x), classes)))

    def _windows(
        self,
        x: Value,
        kernel: tuple[int, int],
        stride: int,
        padding: str,
        dilation: tuple[int, int],
    ) -> tuple[int, ...]:
        if padding == "SAME":
            return tuple(-(-n // stride) for n in x.shape[1:3])
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        return tuple((n - r) // stride + 1 for n, r in zip(x.shape[1:3], reach, strict=True))

    def _name(self, kind: str) -> str:
        return f"{kind}_{len(self.graph.tensors)}"


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)
