"""ONNX networks with QuantizeLinear and DequantizeLinear run in integers."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the extra assay[onnx] is not installed")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

import assay  # noqa: E402
from assay.runtimes.onnxruntime import open_onnxruntime  # noqa: E402
from assay.runtimes.tvm import open_build  # noqa: E402
from tests.compiler.onnx.run import outputs_of, random_inputs  # noqa: E402

RNG = np.random.default_rng(3)
OUTPUT_SCALE = 0.05


def convolution(folder, bias_scale=None):
    """A convolution as converters write it: int8 activations and weights, int32 bias."""
    weight_scales = RNG.uniform(0.01, 0.03, 6).astype(np.float32)
    input_scale = np.float32(0.02)
    if bias_scale is None:
        bias_scale = input_scale * weight_scales
    arrays = {
        "w": RNG.integers(-127, 128, (6, 5, 3, 3)).astype(np.int8),
        "ws": weight_scales,
        "wz": np.zeros(6, np.int8),
        "b": RNG.integers(-500, 500, 6).astype(np.int32),
        "bs": np.asarray(bias_scale, np.float32),
        "bz": np.zeros(6, np.int32),
        "s": input_scale,
        "z": np.int8(-4),
        "os": np.float32(OUTPUT_SCALE),
        "oz": np.int8(7),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], axis=0),
        helper.make_node("DequantizeLinear", ["b", "bs", "bz"], ["bd"], axis=0),
        helper.make_node("Conv", ["xd", "wd", "bd"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("QuantizeLinear", ["c", "os", "oz"], ["cq"]),
        helper.make_node("DequantizeLinear", ["cq", "os", "oz"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "quantized",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 5, 7, 9])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 6, 7, 9])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = folder / "net.onnx"
    onnx.save(model, path)
    return path


def within_a_step(path, scale, **choices):
    """Compile; no output is further from ONNX Runtime's than one step of its quantization."""
    build = assay.compile(path, **choices)
    ours, reference = open_build(build), open_onnxruntime(path)
    inputs = random_inputs(ours.inputs)
    for got, want in zip(outputs_of(ours, inputs), outputs_of(reference, inputs), strict=True):
        assert np.ptp(want) > 20 * scale
        np.testing.assert_allclose(got, want, rtol=0, atol=1.01 * scale)
    return build


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_a_convolution_in_integers(tmp_path, layout):
    path = convolution(tmp_path)
    build = within_a_step(path, OUTPUT_SCALE, layout=layout)
    assert not [line for line in build.log if "floating point" in line or "runs in float" in line]
    assert any("int8_" in call.symbol for call in build.manifest.kernels)


def test_a_bias_of_another_scale_is_brought_to_that_of_the_sums(tmp_path):
    path = convolution(tmp_path, bias_scale=np.full(6, 0.004, np.float32))
    within_a_step(path, OUTPUT_SCALE)


def test_batch_normalization_between_quantized_tensors(tmp_path):
    """It gives a tuple, of which the network uses one item."""
    arrays = {
        name: RNG.uniform(0.5, 1.5, 4).astype(np.float32) for name in ("g", "b", "m", "v")
    } | {"s": np.float32(0.05), "z": np.int8(0)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        helper.make_node("BatchNormalization", ["xd", "g", "b", "m", "v"], ["n"]),
        helper.make_node("QuantizeLinear", ["n", "s", "z"], ["nq"]),
        helper.make_node("DequantizeLinear", ["nq", "s", "z"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "normalized",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 5, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 5, 3])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in arrays.items()],
    )
    path = tmp_path / "net.onnx"
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    within_a_step(path, 0.05)
