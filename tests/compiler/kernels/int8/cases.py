"""Random quantized problems: their tensors, what they should give, and the comparison."""

from dataclasses import replace

import numpy as np

from assay.compiler.kernels.int8.problem import (
    Addition,
    QuantizedConv2d,
    QuantizedDense,
    QuantizedTransposedConv2d,
)
from assay.compiler.kernels.int8.stored import StoredRange
from assay.compiler.kernels.problem import Conv2d
from tests.compiler.kernels.int8 import reference
from tests.compiler.kernels.int8.harness import isa, run, stored

TARGET = StoredRange(100, 3, 250)
ADDITION = Addition(0.7, 0.9, 120, StoredRange(90, 10, 240))


def window(size, kernel, stride=1, dilation=1, padding="same"):
    """Return the output's size and the padding in front, as TFLite computes them."""
    reach = (kernel - 1) * dilation + 1
    if padding == "valid":
        return (size - reach) // stride + 1, 0
    out = -(-size // stride)
    return out, max((out - 1) * stride + reach - size, 0) // 2


def conv(height, width, in_c, out_c, kernel, stride=1, batch=1, padding="same", **fields):
    """Return a quantized convolution; ``kernel``, ``stride`` and ``dilation`` int or (h, w)."""
    (kernel_h, kernel_w), (stride_h, stride_w) = pair(kernel), pair(stride)
    dilation_h, dilation_w = pair(fields.pop("dilation", 1))
    groups = fields.pop("groups", 1)
    out_h, top = window(height, kernel_h, stride_h, dilation_h, padding)
    out_w, left = window(width, kernel_w, stride_w, dilation_w, padding)
    sizes = (batch, height, width, in_c, out_h, out_w, out_c, kernel_h, kernel_w)
    steps = (stride_h, stride_w, top, left, dilation_h, dilation_w, groups)
    return QuantizedConv2d(
        Conv2d(*sizes, *steps), **{"input_zero_point": 7, "output": TARGET, **fields}
    )


def pair(value):
    return value if isinstance(value, tuple) else (value, value)


def tensors(problem, seed=0):
    """Return input, weights, bias and multipliers that give results of all sizes."""
    rng, g = np.random.default_rng(seed), problem.geometry
    channels = g.output_shape[getattr(g, "channel_axis", -1)]
    x = stored(rng, *g.input_shape)
    weights = rng.integers(-128, 128, g.weights_shape).astype(np.int8)
    bias = rng.integers(-1000, 1000, channels).astype(np.int32)
    spread = channels_last_sums(problem, x, weights, bias).std() + 1
    return x, weights, bias, (rng.uniform(20, 150, channels) / spread).astype(np.float32)


def check(module, problem, text, parallel=1, seed=0, machine=None):
    """Compile and run a linear problem; all bytes have to be as the arithmetic says."""
    assert module.applicable(problem)
    machine = machine or isa(text)
    x, weights, bias, multipliers = tensors(problem, seed)
    shape = problem.geometry.output_shape
    addends = [stored(np.random.default_rng(seed + 1), *shape)] if problem.addition else []
    problem = replace(problem, shrinks=bool((multipliers < 1).all()))
    packed = module.pack(problem, machine, weights, bias, multipliers)
    function = module.generate(problem, machine, "kernel", parallel)
    actual = run(function, text, [x, *packed, *addends], shape)
    axis = getattr(problem.geometry, "channel_axis", -1)
    actual, *addends = (np.moveaxis(each, axis, -1) for each in (actual, *addends))
    sums = channels_last_sums(problem, x, weights, bias)
    expected = reference.output(problem, sums, multipliers, *addends)
    assert expected.std() > 15 or expected.size < 50, "the case tests nothing"
    np.testing.assert_array_equal(actual, expected)


def channels_last_sums(problem, x, weights, bias):
    """Return sums with the channels last, of a problem in any layout."""
    axis = getattr(problem.geometry, "channel_axis", -1)
    if axis != -1:
        problem = replace(problem, geometry=replace(problem.geometry, layout="NHWC"))
        x = np.moveaxis(x, axis, -1)
    return sums_of(problem, x, weights, bias)


SUMS = {
    QuantizedConv2d: reference.conv2d_sums,
    QuantizedDense: reference.dense_sums,
    QuantizedTransposedConv2d: reference.transposed_sums,
}


def sums_of(problem, x, weights, bias):
    return SUMS[type(problem)](problem, x, weights, bias)
