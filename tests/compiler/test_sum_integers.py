"""Below level 3, quantized layers compute in FP32 and still round as kernels on integers do."""

from __future__ import annotations

import numpy as np
import pytest

import assay
from assay.runtimes.tvm import open_build
from tests.builder import GraphBuilder, per_axis, per_tensor

RNG = np.random.default_rng(11)
SHAPE, DEPTH, CHANNELS = (1, 6, 7, 96), 96, 11
X_SCALE, Y_SCALE = np.float32(0.0217), np.float32(0.937)
SCALES = np.linspace(0.0031, 0.0077, CHANNELS).astype(np.float32)
WEIGHTS = RNG.integers(-127, 128, (CHANNELS, 1, 1, DEPTH)).astype(np.int8)
BIAS = RNG.integers(-9999, 9999, CHANNELS).astype(np.int32)
ROUNDS = 25


@pytest.fixture(scope="module")
def layer(tmp_path_factory):
    """A 1x1 convolution with a scale for each output channel."""
    graph = GraphBuilder()
    x = graph.input("x", SHAPE, "int8", per_tensor(float(X_SCALE), -5))
    w = graph.constant("w", WEIGHTS, per_axis(SCALES.tolist(), 0))
    b = graph.constant("b", BIAS, per_axis((X_SCALE * SCALES).tolist(), 0))
    options = {"padding": 0, "stride_h": 1, "stride_w": 1}
    y = per_tensor(float(Y_SCALE), 3)
    graph.output(graph.op("CONV_2D", [x, w, b], (1, 6, 7, CHANNELS), "int8", y, options=options))
    path = tmp_path_factory.mktemp("layer") / "net.tflite"
    path.write_bytes(graph.build())
    return path


def expected(x):
    """Sum in integers, and round once: a factor for each channel, all in float32."""
    sums = (x.astype(np.int64) + 5) @ WEIGHTS.reshape(CHANNELS, DEPTH).T.astype(np.int64) + BIAS
    assert np.abs(sums).max() < 2**24
    factors = X_SCALE * SCALES / Y_SCALE
    return np.clip(np.rint(sums.astype(np.float32) * factors) + 3, -128, 127).astype(np.int8)


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("opt_level", [0, 2])
def test_sums_are_exact(layer, opt_level, layout):
    run = open_build(assay.compile(layer, opt_level=opt_level, layout=layout))
    for _ in range(ROUNDS):
        x = RNG.integers(-128, 128, SHAPE).astype(np.int8)
        np.testing.assert_array_equal(run(x), expected(x))
