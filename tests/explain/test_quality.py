"""What clips and where a build leaves the reference: provoked, and not where there is nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import assay
from assay.cli.main import app
from assay.compiler.config import Config
from assay.explain.quality import quality_remarks
from assay.runtimes.tvm import open_compiled
from tests.builder import GraphBuilder, per_axis, per_tensor
from tests.builder.onnx_net import OnnxNet
from tests.compiler.remarks.networks import dynamic_network, float_network

RNG = np.random.default_rng(5)
W = RNG.integers(-127, 128, (16, 3, 3, 3)).astype(np.int8)
V = RNG.integers(-127, 128, (8, 1, 1, 16)).astype(np.int8)
X = RNG.integers(-128, 128, (1, 12, 12, 3)).astype(np.int8)

# Products of these inputs and weights reach some +-8, which steps of 0.1 hold and of 0.01 do not.
WIDE, NARROW = per_tensor(0.1), per_tensor(0.01)


def network(middle=WIDE, activation="NONE", kernel=V):
    """Two quantized convolutions; ``middle`` is the quantization between them."""
    graph = GraphBuilder()
    x = graph.input("x", (1, 12, 12, 3), "int8", per_tensor(0.01))
    w = graph.constant("w", W, per_axis([0.01] * 16, 0))
    v = graph.constant("v", kernel, per_axis([0.01] * 8, 0))
    b = graph.constant("b", np.zeros(16, np.int32), per_axis([1e-4] * 16, 0))
    c = graph.constant("c", np.zeros(8, np.int32), per_axis([0.01 * middle.scale[0]] * 8, 0))
    options = {"activation": activation}
    y = graph.op(
        "CONV_2D", [x, w, b], (1, 12, 12, 16), "int8", middle, options=options, output="first"
    )
    y = graph.op("CONV_2D", [y, v, c], (1, 12, 12, 8), "int8", per_tensor(0.5), output="second")
    graph.output(y)
    return graph.build()


def write(folder, content, name="model.tflite"):
    path = folder / name
    path.write_bytes(content)
    return path


def found(path, sample=(X,), build_of=None, **choices):
    build = open_compiled(build_of or path, Config(**choices))
    return quality_remarks(assay.read(path), build, [sample])


@pytest.mark.parametrize(
    ("middle", "activation", "layers"),
    [
        (WIDE, "NONE", []),
        (NARROW, "NONE", ["first"]),
        (per_tensor(0.01, -128), "RELU", ["first"]),  # at the high end
        (per_tensor(6 / 255, -128), "RELU6", []),  # both limits are the activation's own
    ],
)
def test_saturation(tmp_path, middle, activation, layers):
    remarks = found(write(tmp_path, network(middle, activation)))
    clipped = [remark for remark in remarks if remark.id == "quality/saturation"]
    assert [remark.layer for remark in clipped] == layers


def test_a_requantized_tensor_clips_what_its_new_range_lacks(tmp_path):
    """A RELU's zeros at the low end do not, however many they are."""
    graph = GraphBuilder()
    x = graph.input("x", (1, 1000), "uint8", per_tensor(0.02, 0))
    graph.output(graph.op("QUANTIZE", [x], (1, 1000), "uint8", per_tensor(0.01, 0), output="q"))
    path = write(tmp_path, graph.build())
    value = np.zeros((1, 1000), np.uint8)
    assert found(path, (value,)) == []
    value[0, :10] = 200
    (remark,) = found(path, (value,))
    assert remark.evidence.startswith("1.00% of the values of QUANTIZE clip (0.00% at the low end")


def test_the_share_that_clips_is_counted(tmp_path):
    """Against the convolution's sums, in numpy."""
    (remark,) = (r for r in found(write(tmp_path, network(NARROW))) if r.id == "quality/saturation")
    padded = np.pad(X.astype(np.int64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    real = np.einsum("nhwcij,oijc->nhwo", windows, W.astype(np.int64)) * 0.01 * 0.01
    share = np.mean((real > 1.275) | (real < -1.285))
    told = float(remark.evidence.partition("%")[0]) / 100
    assert told == pytest.approx(share, abs=0.01)
    assert share > 0.2


@pytest.mark.parametrize(
    "choices",
    [{}, {"layout": "nchw"}, {"precision": "float"}, {"pipeline": "stock"}, {"opt_level": 0}],
)
def test_builds_of_the_model_itself_do_not_diverge(tmp_path, choices):
    remarks = found(write(tmp_path, network()), **choices)
    assert [remark for remark in remarks if remark.id == "quality/first-divergence"] == []


@pytest.mark.parametrize("choices", [{}, {"layout": "nchw"}, {"pipeline": "stock"}])
def test_the_first_layer_that_computes_something_else_is_named(tmp_path, choices):
    """The build is of a model with other weights in its second layer."""
    path = write(tmp_path, network())
    other = write(tmp_path, network(kernel=V[::-1].copy()), "other.tflite")
    (remark,) = found(path, build_of=other, **choices)
    assert (remark.id, remark.layer) == ("quality/first-divergence", "second")
    assert remark.evidence.startswith("CONV_2D is ")


def test_layers_in_floating_point_have_a_tolerance_of_their_own(tmp_path):
    x = RNG.normal(size=(1, 12, 12, 3)).astype(np.float32)
    assert found(write(tmp_path, float_network()), (x,), layout="nchw") == []


def test_litert_rounds_the_activations_of_dynamic_range_models(tmp_path):
    path, x, out = write(tmp_path, dynamic_network()), tmp_path / "x.npy", tmp_path / "out.json"
    np.save(x, RNG.normal(size=(1, 12, 12, 3)).astype(np.float32))
    words = ["explain", str(path), "--input", str(x), "--json", str(out)]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0
    remarks = json.loads(out.read_text())["remarks"]
    (remark,) = (r for r in remarks if r["id"] == "quality/first-divergence")
    assert remark["evidence"].endswith("of its range from the reference")
    assert remark["evidence"] in " ".join(done.output.split()) or "first-divergence" in done.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dataset", "digits", "--input", "x.npy"], "give one of them"),
        (["--input", "a.npy", "--input", "b.npy"], "needs 1 --input file"),
        (["--dataset", "digits"], "takes an input of shape [1, 12, 12, 3]"),
        (["--dataset", "digits", "--samples", "0"], "give at least 1"),
    ],
)
def test_data_has_to_fit(tmp_path, words, message):
    path = write(tmp_path, network())
    done = CliRunner().invoke(app, ["explain", str(path), *words])
    assert message in str(done.exception)


def test_a_file_that_does_not_fit_is_refused_before_anything_is_timed(tmp_path, monkeypatch):
    def never(*_):
        raise AssertionError("it was profiled")

    monkeypatch.setattr("assay.timing.profiler.profile_in_turns", never)
    x = tmp_path / "x.npy"
    np.save(x, np.zeros((1, 12, 12, 3), np.float32))
    words = ["explain", str(write(tmp_path, network())), "--input", str(x)]
    assert "takes int8 of shape" in str(CliRunner().invoke(app, words).exception)


def test_onnx_files_have_no_reference(tmp_path):
    pytest.importorskip("onnx")
    net = OnnxNet()
    x = net.input("x", (1, 4))
    model = net.save(tmp_path / "m.onnx", net.op("Relu", x))
    np.save(tmp_path / "x.npy", np.zeros((1, 4), np.float32))
    words = ["explain", str(model), "--input", str(tmp_path / "x.npy")]
    assert "reads .tflite files only" in str(CliRunner().invoke(app, words).exception)
