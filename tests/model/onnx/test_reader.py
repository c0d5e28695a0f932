"""Facts of ONNX files, and the errors of files that are wrong."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

import assay
from assay.errors import ModelError
from tests.builder.onnx_net import OnnxNet

onnx = pytest.importorskip("onnx")


def small_net(opset=17, batch="N"):
    net = OnnxNet(opset)
    x = net.input("x", [batch, 3, 8, 8])
    y = net.op("Relu", net.conv(x, (3, 6), strides=[2, 2]))
    y = net.conv(y, (6, 6), group=6)
    y = net.op("Flatten", net.op("GlobalAveragePool", y))
    return net, net.op("Gemm", y, net.weights(5, 6), net.weights(5), transB=1)


@pytest.fixture
def file(tmp_path):
    net, y = small_net()
    return net.save(tmp_path / "net.onnx", y)


def test_facts_of_a_small_network(file):
    model = assay.read(file)
    assert (model.format, model.version, model.precision) == ("onnx", 17, "fp32")
    assert [str(spec) for spec in model.inputs] == ["x float32[-1x3x8x8]"]
    assert model.outputs[0].shape == (-1, 5)
    assert model.op_counts == {
        "Conv": 2, "Relu": 1, "GlobalAveragePool": 1, "Flatten": 1, "Gemm": 1
    }  # fmt: skip
    assert model.macs == 4 * 4 * 6 * 27 + 4 * 4 * 6 * 9 + 6 * 5
    assert model.parameters == 6 * 27 + 6 + 6 * 9 + 6 + 30 + 5
    assert model.size_bytes == file.stat().st_size


def test_quantization_comes_from_the_nodes(tmp_path):
    net = OnnxNet()
    x = net.input("x", [1, 2, 4, 4])
    at = [net.constant(0.5, "float32"), net.constant(3, "uint8")]
    x = net.op("DequantizeLinear", net.op("QuantizeLinear", x, *at), *at)
    weights = net.constant(np.arange(18).reshape(1, 2, 3, 3), "int8")
    scales = [net.constant([0.25], "float32"), net.constant([0], "int8")]
    y = net.op("Conv", x, net.op("DequantizeLinear", weights, *scales, axis=0))
    model = assay.read(net.save(tmp_path / "net.onnx", y))
    assert model.precision == "uint8"
    stored = {t.name: t.quantization for t in model.tensors if t.quantization}
    assert [(q.scale, q.zero_point) for q in stored.values()] == [((0.25,), (0,)), ((0.5,), (3,))]


def test_external_data_is_read_and_counted(file):
    whole = assay.read(file)
    beside = file.with_name("beside.onnx")
    proto = onnx.load(file)
    onnx.save(proto, beside, save_as_external_data=True, location="w.bin", size_threshold=0)
    model = assay.read(beside)
    assert model.parameters == whole.parameters
    assert model.size_bytes > beside.stat().st_size


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("../secret.bin", "outside of the folder"),
        ("/etc/passwd", "outside of the folder"),
        ("link.bin", "outside of the folder"),
        ("missing.bin", "is no file"),
        (".", "is no file"),
        ("short.bin", "does not hold"),
    ],
)
def test_external_data_stays_in_the_folder(tmp_path, location, why):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(1 << 16))
    (folder / "short.bin").write_bytes(bytes(8))
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    net, y = small_net()
    proto = net.model(y)
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = tensor.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    file = folder / "net.onnx"
    file.write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError, match=why):
        assay.read(file)


@pytest.mark.parametrize("entry", ["offset", "length"])
@pytest.mark.parametrize("value", ["-4", "9" * 30, "x", "1000"])
def test_offsets_and_lengths_are_checked(tmp_path, entry, value):
    (tmp_path / "w.bin").write_bytes(bytes(700))
    net, y = small_net()
    proto = net.model(y)
    tensor = proto.graph.initializer[0]
    tensor.data_location = tensor.EXTERNAL
    tensor.external_data.add(key="location", value="w.bin")
    tensor.external_data.add(key=entry, value=value)
    (tmp_path / "net.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError, match=r"no number|does not hold"):
        assay.read(tmp_path / "net.onnx")


def test_truncated_files_are_refused(file):
    data = file.read_bytes()
    for end in range(0, len(data), 37):
        file.write_bytes(data[:end])
        with pytest.raises(ModelError):
            assay.read(file)


def test_damaged_bytes_give_typed_errors_or_a_model(file):
    data = file.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(150):
        mutant = bytearray(data)
        for at in rng.integers(0, len(data), 3):
            mutant[at] = rng.integers(256)
        file.write_bytes(mutant)
        with contextlib.suppress(ModelError):  # anything else would be a crash
            assay.read(file)


def test_values_that_do_not_fit_a_shape(file):
    proto = onnx.load(file)
    proto.graph.initializer[0].dims[0] = 1 << 40
    file.write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError, match="do not fit"):
        assay.read(file)


def test_values_without_a_maker(file):
    proto = onnx.load(file)
    del proto.graph.node[1]
    file.write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError, match="damaged"):
        assay.read(file)


@pytest.mark.parametrize("opset", [12, 23])
def test_operator_sets_out_of_range(tmp_path, opset):
    net, y = small_net(opset)
    with pytest.raises(ModelError, match=f"operator set {opset}"):
        assay.read(net.save(tmp_path / "net.onnx", y))


def test_another_kind_of_file(tmp_path):
    file = tmp_path / "page.onnx"
    file.write_text("<!doctype html><html></html>")
    with pytest.raises(ModelError, match="no ONNX model"):
        assay.read(file)
