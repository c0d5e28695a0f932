"""The commands on an ONNX model, which is NCHW while data sets are NHWC."""

from __future__ import annotations

import json

import numpy as np
import pytest

from assay.datasets.registry import open_dataset
from assay.datasets.subset import Subset
from assay.model.reader import read
from tests.builder.onnx_net import OnnxNet

pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")


def classifier():
    """Ten scores of an image of 96x96 pixels."""
    net = OnnxNet()
    x = net.input("image", ["N", 3, 96, 96])
    y = net.op("Relu", net.conv(x, (3, 8), 5, strides=[4, 4]))
    y = net.op("Relu", net.conv(y, (8, 8), group=8, strides=[2, 2]))
    y = net.op("Flatten", net.op("GlobalAveragePool", net.conv(y, (8, 16), 1)))
    y = net.op("Gemm", y, net.weights(10, 16), net.weights(10), transB=1)
    return net, net.op("Softmax", y, axis=1)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    net, y = classifier()
    return net.save(tmp_path_factory.mktemp("models") / "net.onnx", y)


def test_inspect_tells_that_all_compiles(assay, model, tmp_path):
    code, out, err = assay("inspect", model, "--json", tmp_path / "facts.json")
    assert code == 0, err
    assert "assay compiles all of its operators" in out
    assert json.loads((tmp_path / "facts.json").read_text())["unsupported"] == []


def test_inspect_names_all_that_does_not(assay, tmp_path):
    net = OnnxNet()
    names = net.input("x", [4, 4]), net.input("image", [1, 2, 3, 4])
    made = [net.op(kind, name) for kind, name in zip(("Det", "GlobalLpPool"), names, strict=True)]
    file = net.save(tmp_path / "net.onnx", *made)
    _, out, _ = assay("inspect", file)
    assert "2 operator(s) do not compile" in out
    assert "Det at operator 0: not known to assay" in out
    assert "GlobalLpPool at operator 1: not known to assay" in out


def test_inspect_tells_of_open_sizes(assay, tmp_path):
    net = OnnxNet()
    file = net.save(tmp_path / "net.onnx", net.op("Relu", net.input("x", ["N", 3, "H", 8])))
    _, out, _ = assay("inspect", file)
    assert "Relu at operator 0: input 'x' leaves dimension 2 open" in out


def test_all_runtimes_compute_the_same(assay, refused, model, tmp_path):
    library = tmp_path / "net.so"
    assert assay("compile", model, "-o", library).code == 0
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((1, 3, 96, 96), np.float32))
    ends = ("--input", tmp_path / "x.npy", "--output", tmp_path / "y.npy")
    found = []
    for options in ([model], [model, "--runtime", "tvm"], [library]):
        assert assay("run", *options, *ends).code == 0
        found.append(np.load(tmp_path / "y.npy"))
    np.testing.assert_allclose(found[1], found[0], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(found[2], found[1])
    reason = refused("run", model, "--runtime", "litert", *ends)
    assert "LiteRT reads .tflite files only" in reason


@pytest.mark.parametrize("runtime", ["onnxruntime", "tvm"])
def test_images_of_a_data_set_are_turned_to_nchw(assay, model, tmp_path, runtime):
    data = Subset(open_dataset("digits"), 0.1)
    session = ort.InferenceSession(str(model))
    right = [
        int(session.run(None, {"image": each.data[None].transpose(0, 3, 1, 2)})[0].argmax())
        == each.label
        for each in data
    ]
    found = tmp_path / "found.json"
    command = ("eval", model, "--dataset", "digits", "--fraction", "0.1", "--json", found)
    code, _, err = assay(*command, "--runtime", runtime)
    assert code == 0, err
    assert json.loads(found.read_text())["quality"]["accuracy"] == np.mean(right)


def test_profile_names_the_nodes_of_the_file(assay, model, tmp_path):
    code, _, err = assay("profile", model, "--json", tmp_path / "profile.json")
    assert code == 0, err
    kernels = json.loads((tmp_path / "profile.json").read_text())["kernels"]
    layers = [layer for kernel in kernels for layer in kernel["call"]["layers"]]
    facts = read(model)
    assert sum(layer["macs"] for layer in layers) == facts.macs
    assert {layer["name"] for layer in layers} == {op.layer for op in facts.operators}


def test_bench_against_the_runtimes_that_read_it(assay, model, tmp_path):
    quick = ("--launches", "1", "--rounds", "4", "--min-time", "0.001", "--cores", "0")
    found = tmp_path / "found.json"
    code, out, err = assay(
        "bench", model, *quick, "--against", "onnxruntime,openvino,litert", "--json", found
    )
    assert code == 0, err
    outcomes = json.loads(found.read_text())["outcomes"]
    assert [(each["contender"]["label"], each["status"]) for each in outcomes] == [
        ("assay O3", "timed"),
        ("onnxruntime", "timed"),
        ("openvino", "timed"),
        ("litert", "skipped"),
    ]
    assert all(each["output_difference"] < 1e-6 for each in outcomes[1:3])
    assert "litert skipped: it reads no .onnx: give the model as a .tflite file too" in out


def test_explain_says_what_level_1_lacks(assay, model):
    code, out, err = assay("explain", model, "--opt-level", "1")
    assert code == 0, err
    assert "layout/nhwc-unscheduled" in out
