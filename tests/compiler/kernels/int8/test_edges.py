"""Linear kernels at the edges of their arithmetic: scales, sums and zero points of any size."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels.int8 import conv2d, dense, depthwise, transposed
from assay.compiler.kernels.int8.nchw import convolution as nchw
from assay.compiler.kernels.int8.problem import QuantizedDense, QuantizedTransposedConv2d
from assay.compiler.kernels.int8.stored import StoredRange
from assay.compiler.kernels.problem import Dense
from assay.compiler.kernels.transposed import TransposedConv2d
from tests.compiler.kernels.int8 import reference
from tests.compiler.kernels.int8.cases import TARGET, channels_last_sums, conv
from tests.compiler.kernels.int8.harness import TARGETS, isa, run, stored

CHANNELS = 24
IMAGE = conv(4, 3, 9, CHANNELS, 3)
KERNELS = {
    "pointwise": (conv2d, conv(2, 3, 9, CHANNELS, 1)),
    "window": (conv2d, IMAGE),
    "nchw": (nchw, replace(IMAGE, geometry=replace(IMAGE.geometry, layout="NCHW"))),
    "depthwise": (depthwise, conv(5, 4, CHANNELS, CHANNELS, 3, groups=CHANNELS)),
    "dense": (dense, QuantizedDense(Dense((3,), 37, CHANNELS), 7, TARGET)),
    "transposed": (
        transposed,
        QuantizedTransposedConv2d(
            TransposedConv2d(1, 3, 2, 9, 6, 4, CHANNELS, 3, 3, 2, 2), 7, TARGET
        ),
    ),
}
ENDS = (2**31 - 1, -(2**31), 2**31 - 900, -(2**31) + 900, 0, 1, -1)
SCALES = (1e30, 1e-30, 3.4e38, 1e-45, 2.0**-24, 1.0, 0.5, 1e-3)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    text=st.sampled_from(TARGETS),
    kernel=st.sampled_from(sorted(KERNELS)),
    zero_points=st.sampled_from([(0, 0), (255, 0), (0, -128), (255, 127), (128, 127)]),
    output=st.sampled_from([StoredRange(0), StoredRange(255), StoredRange(128, 128, 131)]),
    inputs=st.sampled_from(["zeros", "largest", "any"]),
    weights=st.sampled_from([-128, 127, "any"]),
)
def test_edges(text, kernel, zero_points, output, inputs, weights):
    """Sums wrap around at 32 bits; products saturate; channels without weights give the bias."""
    module, problem = KERNELS[kernel]
    rng = np.random.default_rng(0)
    given_x, given_w = zero_points
    problem = replace(
        problem, input_zero_point=given_x, weights_zero_point=given_w, output=output, shrinks=False
    )
    shape = problem.geometry.input_shape
    x = {"zeros": np.zeros(shape, np.uint8), "largest": np.full(shape, 255, np.uint8)}.get(inputs)
    x = stored(rng, *shape) if x is None else x
    w = rng.integers(-128, 128, problem.geometry.weights_shape).astype(np.int8)
    if weights != "any":
        w[...] = weights
    w[..., ::5] = given_w  # channels that are all zero
    bias = np.resize(np.array(ENDS, np.int64), CHANNELS).astype(np.int32)
    factors = np.resize(np.array(SCALES, np.float32), CHANNELS)
    packed = module.pack(problem, isa(text), w, bias, factors)
    function = module.generate(problem, isa(text), "kernel")
    actual = run(function, text, [x, *packed], problem.geometry.output_shape)
    sums = channels_last_sums(problem, x, w, bias)
    expected = reference.output(problem, sums, factors)
    assert {output.low, output.high} <= set(expected.reshape(-1).tolist())
    axis = getattr(problem.geometry, "channel_axis", -1)
    np.testing.assert_array_equal(np.moveaxis(actual, axis, -1), expected)
