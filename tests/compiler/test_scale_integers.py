"""Below level 3, quantized operators compute in FP32 and still round as kernels on integers do.

Scales are such that many results lie halfway between two integers: where they end up depends on
each rounding before. What is expected follows the arithmetic of docs/kernels-int8.md in NumPy.
"""

from __future__ import annotations

import numpy as np
import pytest

import assay
from assay.runtimes.litert import open_litert
from assay.runtimes.tvm import open_build
from tests.builder import GraphBuilder, per_tensor

RNG = np.random.default_rng(23)
SHAPE = (2, 6, 5, 8)
S, T, SIXTH = np.float32(0.1), np.float32(0.2), np.float32(0.6)
X, Y, OUT = -5, 9, 3  # zero points
ROUNDS = 20


class Net:
    """Operators of two images, x and y; x comes out of a convolution that adds nothing to it."""

    def __init__(self):
        self.graph = GraphBuilder()
        source = self.graph.input("source", SHAPE, "int8", per_tensor(float(S), X))
        unit = self.graph.constant("w", np.eye(8, dtype=np.int8).reshape(8, 1, 1, 8), per_tensor(1))
        bias = self.graph.constant("b", np.zeros(8, np.int32), per_tensor(float(S)))
        self.x = self.op("CONV_2D", [source, unit, bias], SHAPE, S, X, padding=0)
        self.y = self.graph.input("y", SHAPE, "int8", per_tensor(float(T), Y))

    def op(self, name, inputs, shape, scale, zero_point=OUT, **options):
        q = per_tensor(float(scale), zero_point)
        return self.graph.op(name, inputs, shape, "int8", q, options=options)

    def ints(self, *values):
        return self.graph.constant(f"i{len(self.graph.tensors)}", np.array(values, np.int32))


def build_operators(net):
    """Return the outputs: each name of ``expected`` in its order."""
    pair, (batch, height, width, channels) = [net.x, net.y], SHAPE
    products = net.graph.constant("k", WEIGHTS, per_tensor(float(T)))
    bias = net.graph.constant("t", BIAS, per_tensor(float(S * T)))
    out = (batch, 2 * height, 2 * width, len(BIAS))
    size = net.ints(*out)
    return [
        net.op("ADD", pair, SHAPE, SIXTH),
        net.op("ADD", pair, SHAPE, SIXTH, activation="RELU6"),
        net.op("SUB", pair, SHAPE, SIXTH),
        net.op("MUL", pair, SHAPE, np.float32(0.04)),
        net.op("QUANTIZE", [net.x], SHAPE, SIXTH),
        net.op("RELU", [net.x], SHAPE, T),
        net.op("MEAN", [net.x, net.ints(1, 2)], (batch, channels), S),
        net.op("TRANSPOSE_CONV", [size, products, net.x, bias], out, MANY, stride_h=2, stride_w=2),
        net.op("BATCH_MATMUL", pair, (batch, height, width, width), MANY, adj_y=True),
    ]


WEIGHTS = RNG.integers(-127, 128, (3, 2, 2, 8)).astype(np.int8)
BIAS = RNG.integers(-999, 999, 3).astype(np.int32)
MANY = np.float32(S * T * 64)


def expected(x, y):
    """Return the operators' results, from integers less their zero points."""
    x, y = x.astype(np.int32) - X, y.astype(np.int32) - Y
    left, right = (n.astype(np.float32) * (s / SIXTH) for n, s in ((x, S), (y, T)))
    taps = np.einsum("nhwc,oijc->nhiwjo", x, WEIGHTS.astype(np.int32))
    transposed = taps.reshape(SHAPE[0], 2 * SHAPE[1], 2 * SHAPE[2], len(BIAS)) + BIAS
    many = S * T / MANY
    return {
        "ADD": stored(left + right),
        "ADD and RELU6": stored(left + right, OUT, OUT + 10),
        "SUB": stored(left - right),
        "MUL": stored((x * y).astype(np.float32) * (S / np.float32(0.04) * T)),
        "QUANTIZE": stored(x.astype(np.float32) * (S / SIXTH)),
        "RELU": stored(x.astype(np.float32) * (S / T), OUT),
        "MEAN": stored(x.sum((1, 2)).astype(np.float32) * (S / (S * np.float32(30)))),
        "TRANSPOSE_CONV": stored(transposed.astype(np.float32) * many),
        "BATCH_MATMUL": stored(np.einsum("nhwc,nhvc->nhwv", x, y).astype(np.float32) * many),
    }


def stored(steps, low=-128, high=127):
    assert steps.dtype == np.float32
    return np.clip(np.rint(steps) + OUT, low, high).astype(np.int8)


@pytest.fixture(scope="module")
def operators(tmp_path_factory):
    net = Net()
    net.graph.output(net.x, *build_operators(net))
    path = tmp_path_factory.mktemp("operators") / "net.tflite"
    path.write_bytes(net.graph.build())
    return path


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("opt_level", [0, 1, 2])
def test_integers_are_those_of_integer_kernels(operators, opt_level, layout):
    run = open_build(assay.compile(operators, opt_level=opt_level, layout=layout))
    for _ in range(ROUNDS):
        source, y = (RNG.integers(-128, 128, SHAPE).astype(np.int8) for _ in range(2))
        x, *results = run(source, y)
        np.testing.assert_array_equal(x, source)
        for (name, wanted), result in zip(expected(source, y).items(), results, strict=True):
            np.testing.assert_array_equal(result, wanted, err_msg=name)


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_bilinear_resizing_is_that_of_the_reference_kernels(tmp_path, layout):
    net, shape = Net(), (2, 14, 9, 8)
    ways = [{}, {"align_corners": True}, {"half_pixel_centers": True}]
    size = net.ints(14, 9)
    results = [net.op("RESIZE_BILINEAR", [net.x, size], shape, S, X, **way) for way in ways]
    net.graph.output(net.op("ADD", [net.x, net.y], SHAPE, SIXTH), *results)
    path = tmp_path / "net.tflite"
    path.write_bytes(net.graph.build())
    runs = [open_build(assay.compile(path, opt_level=n, layout=layout)) for n in (0, 2)]
    reference = open_litert(path, reference=True)
    for _ in range(ROUNDS):
        feeds = [RNG.integers(-128, 128, SHAPE).astype(np.int8) for _ in range(2)]
        _, *wanted = reference(*feeds)
        for run in runs:
            for ours, theirs in zip(run(*feeds)[1:], wanted, strict=True):
                np.testing.assert_array_equal(ours, theirs)
