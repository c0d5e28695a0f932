"""Quantized operators besides convolutions: each runs in integers, within a step of LiteRT."""

from __future__ import annotations

import numpy as np
import pytest

import assay
from assay.runtimes.litert import open_litert
from assay.runtimes.tvm import open_build
from tests.builder import GraphBuilder, per_tensor

LIMITS = {"int8": (-128, 127), "uint8": (0, 255)}
TYPES = pytest.mark.parametrize("dtype", ["int8", "uint8"])
RNG = np.random.default_rng(5)


class Net:
    """A graph of 8-bit tensors of one type."""

    def __init__(self, dtype):
        self.graph, self.dtype = GraphBuilder(), dtype
        self.middle = 0 if dtype == "int8" else 128

    def scale(self, scale, offset=0):
        return per_tensor(scale, self.middle + offset)

    def input(self, shape, scale=0.05, offset=3, name="x"):
        return self.graph.input(name, shape, self.dtype, self.scale(scale, offset))

    def op(self, name, inputs, shape, scale, offset=0, **options):
        return self.graph.op(
            name, inputs, shape, self.dtype, self.scale(scale, offset), options=options
        )

    def ints(self, name, values):
        return self.graph.constant(name, np.array(values, np.int32))

    def check(self, folder, *outputs, steps=1):
        """Compile, and compare with LiteRT's reference kernels on values of the whole range."""
        self.graph.output(*outputs)
        path = folder / "net.tflite"
        path.write_bytes(self.graph.build())
        build = assay.compile(path, layout="nhwc")
        ours, reference = open_build(build), open_litert(path, reference=True)
        low, high = LIMITS[self.dtype]
        for _ in range(3):
            x = [RNG.integers(low, high + 1, s.shape).astype(s.dtype) for s in ours.inputs]
            got, wanted = ours(*x), reference(*x)
            pairs = zip(got, wanted, strict=True) if len(outputs) > 1 else [(got, wanted)]
            for one, other in pairs:
                assert np.abs(one.astype(int) - other.astype(int)).max() <= steps
        (line,) = (each for each in build.log if each.startswith("[pass] BindInt8"))
        assert "quantize" not in line, line
        return line


@TYPES
@pytest.mark.parametrize("name", ["ADD", "SUB", "MUL"])
@pytest.mark.parametrize(
    ("left", "right"),
    [((2, 5, 3, 7), (2, 5, 3, 7)), ((1, 4, 6, 17), (1, 1, 1, 17)), ((3, 5), (5,))],
)
def test_two_tensors(tmp_path, dtype, name, left, right):
    net = Net(dtype)
    operands = [net.input(left), net.input(right, 0.03, -7, "y")]
    net.check(tmp_path, net.op(name, operands, left, 0.07 if name != "MUL" else 0.13, 5))


@TYPES
@pytest.mark.parametrize("name", ["ADD", "MUL"])
def test_a_constant_for_each_channel(tmp_path, dtype, name):
    net = Net(dtype)
    low, high = LIMITS[dtype]
    values = RNG.integers(low, high, 9).astype(dtype)
    constant = net.graph.constant("c", values, net.scale(0.02, 9))
    net.check(tmp_path, net.op(name, [net.input((1, 3, 4, 9)), constant], (1, 3, 4, 9), 0.1))


@pytest.mark.parametrize("right", [(2, 5, 3, 7), (2, 5, 3, 1)], ids=str)
def test_squared_difference(tmp_path, right):
    net = Net("int8")
    operands = [net.input((2, 5, 3, 7)), net.input(right, 0.03, -7, "y")]
    net.check(tmp_path, net.op("SQUARED_DIFFERENCE", operands, (2, 5, 3, 7), 0.2, -128))


@TYPES
@pytest.mark.parametrize("slopes", [(9,), (1, 1, 9), (3, 4, 9)], ids=str)
def test_prelu(tmp_path, dtype, slopes):
    net = Net(dtype)
    low, high = LIMITS[dtype]
    values = RNG.integers(low, high, slopes).astype(dtype)
    slope = net.graph.constant("slope", values, net.scale(0.01, 9))
    y = net.op("PRELU", [net.input((1, 3, 4, 9)), slope], (1, 3, 4, 9), 0.04, -5)
    net.check(tmp_path, y)


@TYPES
def test_an_activation_limits_a_sum(tmp_path, dtype):
    net = Net(dtype)
    operands = [net.input((1, 2, 3, 5)), net.input((1, 2, 3, 5), 0.03, -7, "y")]
    net.check(tmp_path, net.op("ADD", operands, (1, 2, 3, 5), 0.07, 5, activation="RELU6"))


@TYPES
@pytest.mark.parametrize(
    ("name", "scale", "offset"),
    [("LOGISTIC", 1 / 256, -128), ("TANH", 1 / 128, 0), ("HARD_SWISH", 0.03, -20)],
)
def test_functions_of_one_tensor(tmp_path, dtype, name, scale, offset):
    net = Net(dtype)
    line = net.check(tmp_path, net.op(name, [net.input((2, 3, 5, 7))], (2, 3, 5, 7), scale, offset))
    assert "call_tir" in line


@TYPES
def test_swish_of_two_operators_is_one_table(tmp_path, dtype):
    net = Net(dtype)
    x = net.input((1, 4, 5, 19))
    gate = net.op("LOGISTIC", [x], (1, 4, 5, 19), 1 / 256, -128)
    line = net.check(tmp_path, net.op("MUL", [x, gate], (1, 4, 5, 19), 0.04, -60))
    calls = 1 if dtype == "uint8" else 3  # int8 is converted at both ends
    assert f"BindInt8: {calls} call_tir (" in line


@TYPES
def test_a_table_whose_input_is_used_elsewhere(tmp_path, dtype):
    net = Net(dtype)
    x = net.input((1, 4, 5, 3))
    gate = net.op("LOGISTIC", [x], (1, 4, 5, 3), 1 / 256, -128)
    product = net.op("MUL", [x, gate], (1, 4, 5, 3), 0.04, -60)
    net.check(tmp_path, product, gate)


@TYPES
def test_another_quantization(tmp_path, dtype):
    net = Net(dtype)
    net.check(tmp_path, net.op("QUANTIZE", [net.input((3, 11))], (3, 11), 0.11, -31))


@TYPES
@pytest.mark.parametrize("keep", [True, False])
def test_mean_over_the_image(tmp_path, dtype, keep):
    net = Net(dtype)
    x, axes = net.input((2, 7, 5, 13)), net.ints("axes", [1, 2])
    shape = (2, 1, 1, 13) if keep else (2, 13)
    net.check(tmp_path, net.op("MEAN", [x, axes], shape, 0.02, 4, keep_dims=keep))


@TYPES
@pytest.mark.parametrize("name", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_pooling(tmp_path, dtype, name, padding):
    net = Net(dtype)
    out = (2, 4, 3, 19) if padding == "SAME" else (2, 3, 2, 19)
    window = {"filter_h": 3, "filter_w": 3, "stride_h": 2, "stride_w": 2, "padding": padding}
    net.check(tmp_path, net.op(name, [net.input((2, 7, 6, 19))], out, 0.05, 3, **window))


@TYPES
def test_softmax(tmp_path, dtype):
    net = Net(dtype)
    net.check(tmp_path, net.op("SOFTMAX", [net.input((3, 21), 0.2)], (3, 21), 1 / 256, -128))


@TYPES
def test_concatenation_brings_scales_together(tmp_path, dtype):
    net = Net(dtype)
    parts = [net.input((1, 3, 4, 5), 0.05, 3), net.input((1, 3, 4, 18), 0.02, -9, "y")]
    scale = (0.05, 3) if dtype == "int8" else (0.06, -4)  # int8 has one scale for all
    if dtype == "int8":
        parts[1] = net.op("QUANTIZE", [parts[1]], (1, 3, 4, 18), *scale)
    net.check(tmp_path, net.op("CONCATENATION", parts, (1, 3, 4, 23), *scale, axis=3))


@TYPES
def test_padding(tmp_path, dtype):
    net = Net(dtype)
    widths = net.ints("widths", [[0, 0], [1, 2], [0, 3], [0, 0]])
    net.check(tmp_path, net.op("PAD", [net.input((1, 3, 4, 5)), widths], (1, 6, 7, 5), 0.05, 3))


@TYPES
@pytest.mark.parametrize("name", ["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"])
@pytest.mark.parametrize("how", [{}, {"align_corners": True}, {"half_pixel_centers": True}])
def test_resizing(tmp_path, dtype, name, how):
    net = Net(dtype)
    size = net.ints("size", [10, 14])
    y = net.op(name, [net.input((1, 5, 7, 9)), size], (1, 10, 14, 9), 0.05, 3, **how)
    # LiteRT interpolates uint8 in floating point, not with weights of ten bits.
    net.check(tmp_path, y, steps=2 if (name, dtype) == ("RESIZE_BILINEAR", "uint8") else 1)


@TYPES
def test_moved_values_stay_as_they_are_stored(tmp_path, dtype):
    net = Net(dtype)
    x = net.op("LOGISTIC", [net.input((2, 3, 4))], (2, 3, 4), 1 / 256, -128)
    y = net.op("TRANSPOSE", [x, net.ints("order", [0, 2, 1])], (2, 4, 3), 1 / 256, -128)
    z = net.op("RESHAPE", [y, net.ints("shape", [4, 6])], (4, 6), 1 / 256, -128)
    line = net.check(tmp_path, z, steps=1)
    assert "1 permute_dims" in line
    assert "1 reshape" in line


def test_two_branches_of_convolutions_that_meet(tmp_path):
    """Both could take the addition in; one does, and the other stays a layer of its own."""
    net = Net("int8")
    x = net.input((1, 6, 6, 8))
    weights = [
        net.graph.constant(
            f"w{i}", RNG.integers(-9, 9, (8, 1, 1, 8)).astype(np.int8), per_tensor(0.02)
        )
        for i in range(2)
    ]
    bias = net.graph.constant("b", np.zeros(8, np.int32), per_tensor(0.05 * 0.02))
    branches = [net.op("CONV_2D", [x, w, bias], (1, 6, 6, 8), 0.05, 2) for w in weights]
    net.check(tmp_path, net.op("ADD", branches, (1, 6, 6, 8), 0.07, 1), steps=2)
