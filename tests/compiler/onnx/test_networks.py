"""Small ONNX networks, at several opt levels and layouts, beside ONNX Runtime."""

from __future__ import annotations

import re

import pytest

import assay
from assay.errors import ConfigError
from tests.builder.onnx_net import OnnxNet
from tests.compiler.onnx.run import check_equal

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def mobile(opset=17, batch="N"):
    """Batch norm, ReLU6, depthwise, a residual, squeeze-excite and a classifier."""
    net = OnnxNet(opset)
    x = net.input("x", [batch, 3, 16, 16])
    limits = [net.constant(value, "float32") for value in (0, 6)]
    x = net.op("Clip", net.batch_norm(net.conv(x, (3, 8), strides=[2, 2]), 8), *limits)
    y = net.op("Clip", net.conv(x, (8, 24), 1), *limits)
    y = net.op("HardSwish", net.conv(y, (24, 24), group=24))
    gate = net.op("Relu", net.conv(net.op("GlobalAveragePool", y), (24, 6), 1))
    gate = net.op("Sigmoid", net.conv(gate, (6, 24), 1))
    y = net.conv(net.op("Mul", y, gate), (24, 8), 1)
    y = net.op("Add", x, y)
    y = net.op("Relu", net.conv(y, (8, 12), group=4, dilations=[2, 2], pads=[2] * 4))
    y = net.op("Flatten", net.op("GlobalAveragePool", y))
    y = net.op("Gemm", y, net.weights(5, 12), net.weights(5), transB=1)
    return net, net.op("Softmax", y, axis=1)


def pyramid(opset=17):
    """Pooling, branches with Concat, Pad, Resize, ConvTranspose, and an image as the result."""
    net = OnnxNet(opset)
    x = net.input("x", [1, 3, 12, 12])
    x = net.op("Relu", net.conv(x, (3, 5)))
    a = net.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    b = net.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    y = net.op("Concat", a, b, axis=1)
    y = net.op("Pad", y, net.constant([0, 0, 1, 0, 0, 0, 0, 1], "int64"))
    y = net.op("LeakyRelu", net.conv(y, (10, 6)), alpha=0.1)
    scales = net.constant([1, 1, 2, 2], "float32")
    modes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"}
    up = net.op("Resize", y, "", scales, nearest_mode="floor", **modes)
    bigger = net.op("ConvTranspose", y, net.weights(6, 4, 2, 2), strides=[2, 2])
    first, second = net.op("Split", up, net.constant([2, 4], "int64"), outputs=2, axis=1)
    y = net.op("Add", second, bigger)
    return net, net.op("Concat", y, first, axis=1)


@pytest.mark.parametrize(("opset", "opt_level"), [(14, 0), (14, 3), (22, 3), (22, 4)])
def test_mobile_network(tmp_path, opset, opt_level):
    net, y = mobile(opset)
    check_equal(net.save(tmp_path / "net.onnx", y), opt_level=opt_level, batch=2)


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("opset", [13, 19])
def test_network_with_branches(tmp_path, opset, layout):
    net, y = pyramid(opset)
    check_equal(net.save(tmp_path / "net.onnx", y), layout=layout)


def test_stock_pipeline(tmp_path):
    net, y = mobile(batch=1)
    check_equal(net.save(tmp_path / "net.onnx", y), pipeline="stock")


def test_no_transpose_is_left_inside(tmp_path):
    net, y = mobile(batch=1)
    log = assay.compile(net.save(tmp_path / "net.onnx", y)).log
    converted = next(line for line in log if line.startswith("[pass] ConvertToNHWC"))
    assert re.findall(r"(\d+) permute_dims", converted) == ["1"]


def test_chains_of_shapes_are_folded(tmp_path):
    net = OnnxNet()
    x = net.input("x", ["N", 4, 6, 6])
    y = net.conv(x, (4, 8), strides=[2, 2])
    shape = net.op("Shape", y)
    zero = net.constant(0, "int64")
    first = net.op("Unsqueeze", net.op("Gather", shape, zero), net.constant([0], "int64"))
    y = net.op("Reshape", y, net.op("Concat", first, net.constant([-1], "int64"), axis=0))
    check_equal(net.save(tmp_path / "net.onnx", y), batch=3)


def test_several_inputs_and_outputs(tmp_path):
    net = OnnxNet()
    a, b = net.input("a", [2, 3, 5, 5]), net.input("b", [3, 1, 1])
    y = net.conv(net.op("Mul", a, b), (3, 4))
    total = net.op("ReduceMean", y, axes=[2, 3], keepdims=0)
    check_equal(net.save(tmp_path / "net.onnx", total, y))


def test_a_part_of_a_graph(tmp_path):
    net, y = mobile(batch=1)
    file = net.save(tmp_path / "net.onnx", y)
    middle = next(node.output[0] for node in net.nodes if node.op_type == "Add")
    build = assay.compile(file, outputs=(middle,))
    assert [spec.shape for spec in build.manifest.outputs] == [(1, 8, 8, 8)]


def test_open_dimensions_other_than_the_batch(tmp_path):
    net = OnnxNet()
    y = net.op("Relu", net.input("x", ["N", 3, "H", 8]))
    with pytest.raises(ConfigError, match="dimension 2 open"):
        assay.compile(net.save(tmp_path / "net.onnx", y))


def test_batch_of_a_fixed_model(tmp_path):
    net = OnnxNet()
    y = net.op("Relu", net.input("x", [1, 3]))
    with pytest.raises(ConfigError, match="no input leaves the batch open"):
        assay.compile(net.save(tmp_path / "net.onnx", y), batch=2)
