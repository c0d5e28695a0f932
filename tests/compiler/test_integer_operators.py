"""Which quantized operators run in integers at level 3: those of the table below, in both layouts.

The table is held against the graph that is left after the passes, without generating any code.
"""

from __future__ import annotations

import numpy as np
import pytest
import tvm

import assay
from assay.compiler import tvm_api
from assay.compiler.config import Config
from assay.compiler.frontend.importer import import_model
from assay.compiler.passes.quantized import MOVES
from assay.compiler.pipeline import GRAPH, Job, steps
from assay.compiler.remarks.log import Log
from assay.compiler.target import resolve_target
from assay.model.reader import read
from assay.runtimes.litert import open_litert
from assay.runtimes.tvm import open_build
from tests.builder import GraphBuilder, per_axis, per_tensor
from tests.compiler.frontend.cases import CASES
from tests.compiler.frontend.one_operator import Problem, check, compiled

INTEGER = (
    *("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL"),
    *("ADD", "SUB", "MUL", "AVERAGE_POOL_2D", "MAX_POOL_2D", "MEAN", "CONCATENATION"),
    *("PAD", "PADV2", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SOFTMAX"),
    *("RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1", "LEAKY_RELU", "HARD_SWISH"),
    *("LOGISTIC", "TANH", "ELU", "GELU", "QUANTIZE", "DEQUANTIZE"),
)
SCHEMES = ("int8", "uint8")
RNG = np.random.default_rng(3)


def graph_calls(path, layout="nhwc"):
    """Return the operators of a model's graph, before kernels other than integer ones are bound."""
    config = Config(layout=layout)
    target = resolve_target("native")
    mod = import_model(read(path))
    with tvm.transform.PassContext(opt_level=3), target.tvm():
        for step in steps(GRAPH, config):
            mod = step.make(Job(config, target, Log()))(mod)
    return tvm_api.op_calls(mod["main"])


def operators_left(path, layout="nhwc"):
    """Return the operators on real numbers, other than moves, that are no calls of kernels."""
    floats = (call for call in graph_calls(path, layout) if _handles_floats(call))
    return {tvm_api.op_name(call) for call in floats} - {"call_tir", *MOVES}


def _handles_floats(call):
    return any("float" in str(getattr(each.ty, "dtype", "")) for each in (call, *call.args))


ALONE = [
    pytest.param(case, scheme, id=f"{case.name}-{scheme}-{index}")
    for index, case in enumerate(CASES)
    for scheme in case.schemes.split()
    if case.name in INTEGER and scheme in SCHEMES
]


@pytest.mark.parametrize(("case", "scheme"), ALONE)
def test_nothing_is_left_in_floating_point(case, scheme, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(Problem(case, scheme).data)
    assert operators_left(path) == set()


class Behind:
    """A convolution, which makes the network one in NCHW, and an operator on its image.

    Its sums are the image as they are, so that nothing is rounded before the operator.
    """

    shape = (2, 6, 5, 8)

    def __init__(self, dtype):
        self.graph, self.dtype = GraphBuilder(), dtype
        self.middle = 0 if dtype == "int8" else 128
        x = self.graph.input("x", (2, 6, 5, 4), dtype, self.scale(1 / 16, 3))
        signs = (RNG.integers(-1, 2, (8, 1, 1, 4)) + self.middle).astype(dtype)
        weights = self.graph.constant("signs", signs, self.scale(1.0))
        bias = self.graph.constant("bias", np.zeros(8, np.int32), per_tensor(1 / 16))
        self.image = self.op("CONV_2D", [x, weights, bias], self.shape)

    def scale(self, scale, offset=0):
        return per_tensor(scale, self.middle + offset)

    def weights(self, *shape):
        name = f"w{len(self.graph.tensors)}"
        if self.dtype == "int8":
            scales = per_axis(RNG.uniform(0.004, 0.01, shape[0]), 0)
            return self.graph.constant(name, RNG.integers(-127, 128, shape).astype("int8"), scales)
        values = RNG.integers(0, 256, shape).astype("uint8")
        return self.graph.constant(name, values, per_tensor(0.007, 120))

    def op(self, name, inputs, shape, scale=1 / 16, offset=2, **options):
        q = self.scale(scale, offset)
        return self.graph.op(name, inputs, shape, self.dtype, q, options=options)

    def ints(self, values):
        return self.graph.constant(f"i{len(self.graph.tensors)}", np.array(values, np.int32))

    def save(self, path, *outputs):
        self.graph.output(*outputs)
        path.write_bytes(self.graph.build())
        return path


_POOL = {"filter_h": 3, "filter_w": 2, "stride_h": 2, "padding": "SAME"}
_HALF = {"scale": 1 / 256, "offset": -128}
_SAME = Behind.shape

BEHIND = {
    "ADD": lambda n: n.op("ADD", [n.image, n.op("LOGISTIC", [n.image], _SAME, **_HALF)], _SAME),
    "SUB": lambda n: n.op("SUB", [n.image, n.op("LOGISTIC", [n.image], _SAME, **_HALF)], _SAME),
    "MUL": lambda n: n.op(
        "MUL",
        [n.image, n.op("AVERAGE_POOL_2D", [n.image], (2, 1, 1, 8), filter_h=6, filter_w=5)],
        _SAME,
    ),
    "AVERAGE_POOL_2D": lambda n: n.op("AVERAGE_POOL_2D", [n.image], (2, 3, 5, 8), **_POOL),
    "MAX_POOL_2D": lambda n: n.op("MAX_POOL_2D", [n.image], (2, 3, 5, 8), **_POOL),
    "MEAN": lambda n: n.op("MEAN", [n.image, n.ints([1, 2])], (2, 8), 0.02),
    "CONCATENATION": lambda n: n.op(
        "CONCATENATION",
        [n.image, n.op("MAX_POOL_2D", [n.image], _SAME, padding="SAME", filter_h=3)],
        (2, 6, 5, 16),
        axis=3,
    ),
    "PAD": lambda n: n.op("PAD", [n.image, n.ints([[0, 0], [1, 2], [0, 1], [0, 0]])], (2, 9, 6, 8)),
    "RESIZE_BILINEAR": lambda n: n.op(
        "RESIZE_BILINEAR", [n.image, n.ints([12, 10])], (2, 12, 10, 8), half_pixel_centers=True
    ),
    "RESIZE_NEAREST_NEIGHBOR": lambda n: n.op(
        "RESIZE_NEAREST_NEIGHBOR", [n.image, n.ints([12, 10])], (2, 12, 10, 8)
    ),
    "LEAKY_RELU": lambda n: n.op("LEAKY_RELU", [n.image], _SAME, 0.05, alpha=0.3),
    "RELU": lambda n: n.op("RELU", [n.image], _SAME, 0.04, -128),
    "HARD_SWISH": lambda n: n.op("HARD_SWISH", [n.image], _SAME, 0.05, -100),
    "LOGISTIC": lambda n: n.op("LOGISTIC", [n.image], _SAME, **_HALF),
    "SOFTMAX": lambda n: n.op("SOFTMAX", [n.image], _SAME, **_HALF),
    "QUANTIZE": lambda n: n.op("QUANTIZE", [n.image], _SAME, 0.09, -30),
    "TRANSPOSE_CONV": lambda n: n.op(
        "TRANSPOSE_CONV",
        [n.ints([2, 12, 10, 5]), n.weights(5, 3, 3, 8), n.image],
        (2, 12, 10, 5),
        stride_h=2,
        stride_w=2,
    ),
    "FULLY_CONNECTED": lambda n: n.op(
        "FULLY_CONNECTED", [n.image, n.weights(7, 240), -1], (2, 7), 0.3
    ),
    "BATCH_MATMUL": lambda n: n.op(
        "BATCH_MATMUL", [n.image, n.image], (2, 6, 5, 5), 0.12, adj_y=True
    ),
}


@pytest.mark.parametrize("dtype", SCHEMES)
@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("name", BEHIND)
def test_nothing_is_left_in_floating_point_behind_a_convolution(tmp_path, name, layout, dtype):
    if (name, dtype) == ("BATCH_MATMUL", "uint8"):
        pytest.skip("LiteRT has no such operator")
    net = Behind(dtype)
    path = net.save(tmp_path / "model.tflite", BEHIND[name](net))
    assert operators_left(path, layout) == set()


@pytest.mark.parametrize("name", BEHIND)
def test_nchw_computes_what_litert_computes(tmp_path, name):
    net = Behind("int8")
    path = net.save(tmp_path / "model.tflite", net.image, BEHIND[name](net))
    ours = open_build(assay.compile(path, layout="nchw"))
    reference = open_litert(path, reference=True)
    x = RNG.integers(-128, 128, (2, 6, 5, 4)).astype(np.int8)
    for one, other in zip(ours(x), reference(x), strict=True):
        assert other.std() > 5
        assert np.abs(one.astype(int) - other.astype(int)).max() <= 1


SIXTEEN = (
    *("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "BATCH_MATMUL"),
    *("ADD", "SUB", "MUL", "AVERAGE_POOL_2D", "MAX_POOL_2D", "MEAN", "SOFTMAX"),
    *("RELU", "RELU6", "LEAKY_RELU", "LOGISTIC", "TANH", "CONCATENATION", "PAD", "QUANTIZE"),
)
SIXTEEN_BITS = {case.name: case for case in reversed(CASES) if "int16" in case.schemes.split()}


@pytest.mark.parametrize("level", [0, 3, 4])
@pytest.mark.parametrize("name", SIXTEEN)
def test_activations_of_16_bits(tmp_path, name, level):
    problem = Problem(SIXTEEN_BITS[name], "int16")
    path = tmp_path / "model.tflite"
    path.write_bytes(problem.data)
    check(problem, compiled(path, problem.feeds, opt_level=level))


@pytest.mark.parametrize("name", ["CONV_2D", "ADD", "AVERAGE_POOL_2D", "TANH"])
def test_a_remark_names_what_16_bits_leave_in_floating_point(tmp_path, name):
    path = tmp_path / "model.tflite"
    path.write_bytes(Problem(SIXTEEN_BITS[name], "int16").data)
    (said,) = (
        remark.evidence
        for remark in assay.compile(path).remarks
        if remark.id == "precision/float-in-int8"
    )
    word = {"CONV_2D": "conv2d NHWC", "AVERAGE_POOL_2D": "avg_pool2d"}.get(name, name.lower())
    assert said == f"{word} of a quantized model runs in float32"
