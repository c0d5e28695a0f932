"""LiteRT defines what a quantized model means: kernels agree with it, up to its own spread.

LiteRT's XNNPACK kernels and its reference kernels differ from each other by a step here and there.
"""

import numpy as np
import pytest

from assay.compiler.kernels.int8 import (
    conv2d,
    convert,
    dense,
    depthwise,
    elementwise,
    mean,
    pool,
    resize,
    softmax,
)
from assay.compiler.kernels.int8.convert import Quantize
from assay.compiler.kernels.int8.elementwise import Operand, QuantizedAdd, QuantizedMultiply
from assay.compiler.kernels.int8.mean import QuantizedMean
from assay.compiler.kernels.int8.mixing import QuantizedResize
from assay.compiler.kernels.int8.pool import QuantizedPool2d
from assay.compiler.kernels.int8.problem import QuantizedDense, multipliers
from assay.compiler.kernels.int8.softmax import QuantizedSoftmax
from assay.compiler.kernels.int8.stored import StoredRange
from assay.compiler.kernels.pool import Pool2d
from assay.compiler.kernels.problem import Dense
from assay.runtimes.litert import open_litert
from tests.builder import GraphBuilder, per_axis, per_tensor
from tests.compiler.kernels.int8.cases import conv
from tests.compiler.kernels.int8.harness import isa, run

HEIGHT, WIDTH, CHANNELS = 9, 11, 16
IN_SCALE, OUT_SCALE = float(np.float32(0.05)), float(np.float32(0.11))
SHIFT = {"int8": 128, "uint8": 0}


class OneOperator:
    """A model of one operator, and what LiteRT makes of random inputs."""

    def __init__(self, tmp_path, seed=0):
        self.path = tmp_path / "model.tflite"
        self.graph = GraphBuilder()
        self.rng = np.random.default_rng(seed)
        self.inputs = []

    def integers(self, shape, dtype="int8"):
        info = np.iinfo(dtype)
        return self.rng.integers(info.min, info.max + 1, shape).astype(dtype)

    def input(self, shape, scale, zero_point, dtype="int8"):
        self.inputs.append(self.integers(shape, dtype))
        name = f"x{len(self.inputs)}"
        return self.graph.input(name, shape, dtype, per_tensor(scale, zero_point))

    def litert(self, operator, operands, shape, scale, zero_point, dtype="int8", **fields):
        """Return the result, in stored form, as LiteRT computes it."""
        reference = fields.pop("reference", False)
        quantization = per_tensor(scale, zero_point)
        result = self.graph.op(operator, operands, shape, dtype, quantization, **fields)
        self.graph.output(result)
        self.path.write_bytes(self.graph.build())
        runtime = open_litert(self.path, reference=reference)
        return (runtime(*self.inputs)[0].astype(np.int16) + SHIFT[dtype]).astype(np.uint8)

    def kernel(self, module, problem, shape, *constants):
        """Return the result as the kernel computes it."""
        shifted = [x.astype(np.int16) + SHIFT[str(x.dtype)] for x in self.inputs]
        inputs = [x.astype(np.uint8) for x in shifted]
        function = module.generate(problem, isa("native"), "kernel")
        return run(function, "native", [*inputs, *constants], shape)


def assert_agree(actual, expected, equal_share=0.98):
    difference = np.abs(actual.astype(int) - expected.astype(int))
    assert expected.std() > 10, "the case tests nothing"
    assert difference.max() <= 1
    assert (difference == 0).mean() >= equal_share


@pytest.mark.parametrize("groups", [1, CHANNELS], ids=["conv", "depthwise"])
def test_convolutions_per_axis(tmp_path, groups):
    model, module = OneOperator(tmp_path), conv2d if groups == 1 else depthwise
    out_c = 24 if groups == 1 else CHANNELS
    shape = (3, 3, CHANNELS // groups, out_c)
    weights = model.integers(shape)
    scales = model.rng.uniform(0.001, 0.01, out_c).astype(np.float32)
    bias = model.integers(out_c, "int16").astype(np.int32)
    x = model.input((1, HEIGHT, WIDTH, CHANNELS), IN_SCALE, -3)
    axis = 0 if groups == 1 else 3
    own = weights.transpose(3, 0, 1, 2) if groups == 1 else weights.transpose(2, 0, 1, 3)
    steps = [float(scale) for scale in scales]
    w = model.graph.constant("w", own, per_axis(steps, axis))
    b = model.graph.constant("b", bias, per_axis([IN_SCALE * s for s in steps], 0))
    name = "CONV_2D" if groups == 1 else "DEPTHWISE_CONV_2D"
    result_shape = (1, 5, 6, out_c)
    options = {"stride_h": 2, "stride_w": 2, "activation": "RELU6"}
    expected = model.litert(name, [x, w, b], result_shape, OUT_SCALE, 7, options=options, version=3)
    limit = StoredRange(135, 135, 135 + round(6 / OUT_SCALE))
    problem = conv(
        HEIGHT, WIDTH, CHANNELS, out_c, 3, 2, groups=groups, input_zero_point=125, output=limit
    )
    factors = multipliers(IN_SCALE, scales, OUT_SCALE, out_c)
    packed = module.pack(problem, isa("native"), weights, bias, factors)
    assert_agree(model.kernel(module, problem, result_shape, *packed), expected, 0.99)


def test_convolutions_with_asymmetric_weights(tmp_path):
    model = OneOperator(tmp_path)
    weights = model.integers((3, 3, CHANNELS, 24), "uint8")
    bias = model.integers(24, "int16").astype(np.int32)
    x = model.input((1, HEIGHT, WIDTH, CHANNELS), IN_SCALE, 120, "uint8")
    own = weights.transpose(3, 0, 1, 2)
    w = model.graph.constant("w", own, per_tensor(0.003, 131))
    b = model.graph.constant("b", bias, per_tensor(IN_SCALE * 0.003, 0))
    shape = (1, HEIGHT, WIDTH, 24)
    expected = model.litert("CONV_2D", [x, w, b], shape, OUT_SCALE, 100, "uint8")
    problem = conv(
        HEIGHT,
        WIDTH,
        CHANNELS,
        24,
        3,
        input_zero_point=120,
        weights_zero_point=131 - 128,
        output=StoredRange(100),
    )
    stored = (weights.astype(np.int16) - 128).astype(np.int8)
    factors = multipliers(IN_SCALE, 0.003, OUT_SCALE, 24)
    packed = conv2d.pack(problem, isa("native"), stored, bias, factors)
    assert_agree(model.kernel(conv2d, problem, shape, *packed), expected, 0.99)


def test_dense_layers(tmp_path):
    model = OneOperator(tmp_path)
    weights, bias = model.integers((50, 370)), model.integers(370, "int16").astype(np.int32)
    x = model.input((1, 50), IN_SCALE, -3)
    w = model.graph.constant("w", weights.T, per_tensor(0.004, 0))
    b = model.graph.constant("b", bias, per_tensor(IN_SCALE * 0.004, 0))
    expected = model.litert("FULLY_CONNECTED", [x, w, b], (1, 370), OUT_SCALE, 7, version=4)
    problem = QuantizedDense(Dense((1,), 50, 370), 125, StoredRange(135))
    factors = multipliers(IN_SCALE, 0.004, OUT_SCALE, 370)
    packed = dense.pack(problem, isa("native"), weights, bias, factors)
    assert_agree(model.kernel(dense, problem, (1, 370), *packed), expected, 0.99)


@pytest.mark.parametrize("operator", ["ADD", "SUB", "MUL"])
def test_sums_and_products(tmp_path, operator):
    model, shape = OneOperator(tmp_path), (1, 20, 20, 16)
    left, right, out = 0.07, 0.031, 0.02 if operator == "MUL" else 0.083
    operands = [model.input(shape, left, 5), model.input(shape, right, -9)]
    version = {"ADD": 2, "SUB": 3, "MUL": 2}[operator]
    expected = model.litert(operator, operands, shape, out, 3, version=version)
    a, b = Operand(shape, 133), Operand(shape, 119)
    if operator == "MUL":
        problem = QuantizedMultiply(shape, a, b, left * right / out, StoredRange(131))
    else:
        sign = 1 if operator == "ADD" else -1
        problem = QuantizedAdd(shape, a, left / out, b, sign * right / out, StoredRange(131))
    assert_agree(model.kernel(elementwise, problem, shape), expected)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("kind", ["average", "max"])
def test_pooling(tmp_path, kind, dtype):
    model, shape = OneOperator(tmp_path), (1, 5, 5, 20)
    x = model.input((1, 9, 9, 20), 0.1, 3, dtype)
    sizes = {"filter_h": 3, "filter_w": 3, "stride_h": 2, "stride_w": 2, "padding": "SAME"}
    name = f"{kind.upper()}_POOL_2D"
    expected = model.litert(name, [x], shape, 0.1, 3, dtype, options=sizes, version=2)
    geometry = Pool2d(kind, 1, 9, 9, 20, 5, 5, 3, 3, 2, 2, 1, 1)
    actual = model.kernel(pool, QuantizedPool2d(geometry, dtype == "int8"), shape)
    assert_agree(actual, expected, 1.0)


def test_means(tmp_path):
    model, shape = OneOperator(tmp_path), (1, 7, 7, 400)
    x = model.input(shape, 0.1, 3)
    axes = model.graph.constant("axes", np.array([1, 2], np.int32))
    expected = model.litert("MEAN", [x, axes], (1, 400), 0.02, -5, version=2)
    factor = float(np.float32(0.1 / (0.02 * 49)))
    problem = QuantizedMean(shape, (1, 2), False, 131, factor, StoredRange(123))
    assert_agree(model.kernel(mean, problem, (1, 400)), expected, 0.95)


def test_softmax(tmp_path):
    model, shape = OneOperator(tmp_path), (1, 10)
    x = model.input(shape, 0.02, 3)
    expected = model.litert("SOFTMAX", [x], shape, 1 / 256, -128, version=2)
    problem = QuantizedSoftmax(shape, float(np.float32(0.02)), 1 / 256, StoredRange(0))
    table = softmax.pack(problem, isa("native"))
    assert_agree(model.kernel(softmax, problem, shape, table), expected, 0.9)


@pytest.mark.parametrize("options", [(False, False), (True, False), (False, True)], ids=str)
@pytest.mark.parametrize("size", [(11, 9), (4, 3), (10, 14)], ids=str)
def test_resizing(tmp_path, size, options):
    model, shape = OneOperator(tmp_path), (1, *size, 6)
    x = model.input((1, 8, 6, 6), 0.1, 3)
    sizes = model.graph.constant("size", np.array(size, np.int32))
    flags = dict(zip(("align_corners", "half_pixel_centers"), options, strict=True))
    expected = model.litert(
        "RESIZE_BILINEAR", [x, sizes], shape, 0.1, 3, options=flags, version=3, reference=True
    )
    problem = QuantizedResize(1, 8, 6, 6, *size, True, *options)
    tables = resize.pack(problem, isa("native"))
    assert_agree(model.kernel(resize, problem, shape, *tables), expected, 1.0)


def test_quantization(tmp_path):
    model, shape = OneOperator(tmp_path), (1, 1000)
    model.inputs.append(model.rng.normal(0, 3, shape).astype(np.float32))
    x = model.graph.input("x", shape)
    expected = model.litert("QUANTIZE", [x], shape, 0.07, -5)
    problem = Quantize(shape, float(np.float32(1) / np.float32(0.07)), StoredRange(123))
    function = convert.generate(problem, isa("native"), "kernel")
    assert_agree(run(function, "native", model.inputs, shape), expected, 0.99)
