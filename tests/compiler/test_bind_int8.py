"""Quantized layers run in integers: found in TVM's float spelling, within a step of LiteRT."""

from __future__ import annotations

import numpy as np
import pytest

import assay
from assay.data import DIGITS_INT8
from assay.runtimes.litert import open_litert
from assay.runtimes.tvm import open_build
from tests.builder import GraphBuilder, per_axis, per_tensor
from tests.compiler.digits import built

LIMITS = {"int8": (-128, 127), "uint8": (0, 255)}


class Quantized:
    """A graph of 8-bit tensors of one type, whose layers have random constants."""

    def __init__(self, dtype="int8"):
        self.graph = GraphBuilder()
        self.dtype = dtype
        self.rng = np.random.default_rng(11)
        self.middle = 0 if dtype == "int8" else 128

    def tensor(self, scale, offset=0):
        return per_tensor(scale, self.middle + offset)

    def input(self, shape, scale=0.05, offset=3, name="x"):
        return self.graph.input(name, shape, self.dtype, self.tensor(scale, offset)), scale

    def weights(self, shape, axis, channels, name):
        """Signed weights per channel, or, for uint8, unsigned ones with a zero point."""
        if self.dtype == "int8":
            scales = self.rng.uniform(0.002, 0.02, channels).astype(np.float32)
            values = self.rng.integers(-127, 128, shape).astype(np.int8)
            return self.graph.constant(name, values, per_axis(scales, axis=axis)), scales
        values = self.rng.integers(0, 256, shape).astype(np.uint8)
        return self.graph.constant(name, values, per_tensor(0.01, 117)), np.float32([0.01])

    def layer(self, op, x, weights_shape, axis, out_shape, options=None, scale=0.6, offset=-5):
        source, in_scale = x
        name = f"layer{len(self.graph.operators)}"
        channels = out_shape[-1]
        weights, scales = self.weights(weights_shape, axis, channels, f"{name}_w")
        bias_scales = np.broadcast_to(scales * in_scale, channels if self.dtype == "int8" else 1)
        quantization = (
            per_axis(bias_scales, axis=0) if self.dtype == "int8" else per_tensor(bias_scales[0])
        )
        values = self.rng.integers(-2000, 2000, channels).astype(np.int32)
        bias = self.graph.constant(f"{name}_b", values, quantization)
        target = self.tensor(scale, offset)
        inputs = [source, weights, bias]
        y = self.graph.op(op, inputs, out_shape, self.dtype, target, options=options or {})
        return y, scale

    def conv(self, x, shape, out_c, kernel=1, stride=1, **more):
        n, h, w, c = shape
        out = (n, -(-h // stride), -(-w // stride), out_c)
        options = {"stride_h": stride, "stride_w": stride, **more.pop("options", {})}
        weights = (out_c, kernel, kernel, c)
        return self.layer("CONV_2D", x, weights, 0, out, options, **more), out

    def add(self, a, b, shape, scale=0.8, offset=2, **options):
        target = self.tensor(scale, offset)
        y = self.graph.op("ADD", [a[0], b[0]], shape, self.dtype, target, options=options)
        return y, scale


def check(quantized, y, tmp_path, steps=1, target="native", layout="nhwc"):
    """Compile and compare with LiteRT's reference kernels; return the build's log."""
    quantized.graph.output(y[0])
    path = tmp_path / "model.tflite"
    path.write_bytes(quantized.graph.build())
    build = assay.compile(path, layout=layout, target=target)
    ours, reference = open_build(build), open_litert(path, reference=True)
    low, high = LIMITS[quantized.dtype]
    for _ in range(3):
        x = [quantized.rng.integers(low, high + 1, s.shape, s.dtype) for s in ours.inputs]
        difference = ours(*x).astype(int) - reference(*x).astype(int)
        assert np.abs(difference).max() <= steps
    return build.log


def floats(log):
    about = [line for line in log if line.startswith("[precision]")]
    return [line for line in about if "dot product" not in line]


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize(("kernel", "stride", "out_c"), [(1, 1, 17), (3, 1, 8), (3, 2, 33)])
def test_convolution(tmp_path, dtype, kernel, stride, out_c):
    q = Quantized(dtype)
    y, _ = q.conv(q.input((1, 9, 7, 5)), (1, 9, 7, 5), out_c, kernel, stride)
    assert floats(check(q, y, tmp_path)) == []


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_fused_activation_limits_the_integers(tmp_path, dtype):
    q = Quantized(dtype)
    y, _ = q.conv(q.input((2, 5, 5, 3)), (2, 5, 5, 3), 6, 3, options={"activation": "RELU6"})
    assert floats(check(q, y, tmp_path)) == []


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_convolution(tmp_path, dtype, stride):
    q = Quantized(dtype)
    out = (1, -(-8 // stride), -(-6 // stride), 19)
    options = {"stride_h": stride, "stride_w": stride}
    x = q.input((1, 8, 6, 19))
    y = q.layer("DEPTHWISE_CONV_2D", x, (1, 3, 3, 19), 3, out, options)
    assert floats(check(q, y, tmp_path)) == []


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_dense(tmp_path, dtype):
    q = Quantized(dtype)
    y = q.layer("FULLY_CONNECTED", q.input((3, 37)), (11, 37), 0, (3, 11), scale=0.9)
    assert floats(check(q, y, tmp_path)) == []


def test_residual_addition_joins_the_later_layer(tmp_path):
    q = Quantized()
    a, shape = q.conv(q.input((1, 6, 5, 7)), (1, 6, 5, 7), 10)
    b, _ = q.conv(a, shape, 10, 3, options={"activation": "RELU"})
    log = check(q, q.add(a, b, shape, activation="RELU6"), tmp_path, steps=2)
    left = next(line for line in log if line.startswith("[pass] BindInt8"))
    assert "4 call_tir" in left  # and int8 to stored and back, at the ends
    assert "quantize" not in left


def test_a_layer_whose_result_is_also_an_output_stays_whole(tmp_path):
    q = Quantized()
    a, shape = q.conv(q.input((1, 6, 5, 7)), (1, 6, 5, 7), 10)
    q.graph.output(a[0])
    b, _ = q.conv(a, shape, 4)
    q.graph.output(b[0])
    path = tmp_path / "model.tflite"
    path.write_bytes(q.graph.build())
    build = assay.compile(path, layout="nhwc")
    ours, reference = open_build(build), open_litert(path, reference=True)
    x = q.rng.integers(-128, 128, (1, 6, 5, 7), np.int8)
    for one, other in zip(ours(x), reference(x), strict=True):
        assert np.abs(one.astype(int) - other.astype(int)).max() <= 1


@pytest.mark.parametrize("target", ["llvm", "llvm -mcpu=core-avx2"])
def test_other_instruction_sets(tmp_path, target):
    q = Quantized()
    y, shape = q.conv(q.input((1, 9, 7, 5)), (1, 9, 7, 5), 21, 3)
    y, _ = q.conv(y, shape, 6)
    assert floats(check(q, y, tmp_path, steps=2, target=target)) == []


def test_the_demos_network_keeps_its_weights_as_int8():
    build = built("int8")
    assert floats(build.log) == []
    assert build.manifest.weights_bytes < 1.15 * DIGITS_INT8.stat().st_size


def test_precision_float_shows_what_that_saves():
    build = built("int8", precision="float")
    assert "[precision] conv2d NHWC of a quantized model runs in float32" in build.log
    assert build.manifest.weights_bytes > 2 * DIGITS_INT8.stat().st_size


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_nchw_runs_in_integers_with_transposes_at_the_ends_only(tmp_path, dtype):
    q = Quantized(dtype)
    x, shape = q.conv(q.input((2, 9, 11, 3)), (2, 9, 11, 3), 19, 3, 2)
    taps = q.layer("DEPTHWISE_CONV_2D", x, (1, 3, 3, 19), 3, shape, {"stride_h": 1, "stride_w": 1})
    y, _ = q.conv(taps, shape, 19)
    q.graph.output(q.add(y, x, shape)[0])
    path = tmp_path / "model.tflite"
    path.write_bytes(q.graph.build())
    build = assay.compile(path, layout="nchw")
    assert floats(build.log) == []
    layouts = [line for line in build.log if line.startswith("[layout]")]
    assert len(layouts) == 2  # of the input and of the output
    ours, nhwc = open_build(build), open_build(assay.compile(path, layout="nhwc"))
    x = q.rng.integers(*LIMITS[dtype], (2, 9, 11, 3), dtype, endpoint=True)
    np.testing.assert_array_equal(ours(x), nhwc(x))


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_nchw_of_one_channel_moves_nothing_and_stays_in_integers(tmp_path, dtype):
    q = Quantized(dtype)
    y, _ = q.conv(q.input((1, 9, 7, 1)), (1, 9, 7, 1), 8, 3)
    log = check(q, y, tmp_path, layout="nchw")
    assert floats(log) == []
    (line,) = (each for each in log if each.startswith("[pass] BindInt8"))
    assert "quantize" not in line, line


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("name", ["MUL", "ADD"])
def test_nchw_takes_constants_for_each_channel_as_integers(tmp_path, dtype, name):
    q = Quantized(dtype)
    x, shape = q.conv(q.input((1, 9, 7, 5)), (1, 9, 7, 5), 8, 3)
    values = q.rng.integers(*LIMITS[dtype], 8).astype(dtype)
    factor = q.graph.constant("factor", values, q.tensor(0.02, 9))
    y = q.graph.op(name, [x[0], factor], shape, dtype, q.tensor(0.5))
    y, _ = q.conv((y, 0.5), shape, 3)
    log = check(q, y, tmp_path, layout="nchw", steps=2)
    (line,) = (each for each in log if each.startswith("[pass] BindInt8"))
    assert "quantize" not in line, line


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize(("name", "to"), [("ARG_MAX", "int64"), ("ARG_MIN", "int32")])
def test_classes_of_pixels_are_searched_where_the_layout_has_them(
    tmp_path, dtype, layout, name, to
):
    q = Quantized(dtype)
    y, shape = q.conv(q.input((1, 9, 7, 5)), (1, 9, 7, 5), 21)
    axis = q.graph.constant("axis", np.int32([-1]))
    y = q.graph.op(name, [y[0], axis], shape[:3], to, options={"output_type": to})
    q.graph.output(y)
    path = tmp_path / "model.tflite"
    path.write_bytes(q.graph.build())
    build = assay.compile(path, layout=layout)
    (line,) = (each for each in build.log if each.startswith("[pass] BindInt8"))
    assert "arg" not in line, line
    assert ("1 permute_dims" in line) == (layout == "nchw"), line  # of the input
    ours, reference = open_build(build), open_litert(path, reference=True)
    x = q.rng.integers(*LIMITS[dtype], (1, 9, 7, 5), dtype, endpoint=True)
    got, wanted = ours(x), reference(x)
    assert got.dtype == wanted.dtype
    assert np.mean(got == wanted) > 0.97  # sums may round to two equal classes
