"""``assay inspect``: what is in a file, what does not compile, and that it needs no TVM."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from assay import read
from assay.timing.layer_times import layer_times
from tests.builder import GraphBuilder
from tests.model.networks import float_network, integer_network

IN_A_HURRY = """
import sys
for slow in ("tvm", "ai_edge_litert", "tflite", "numpy"):
    sys.modules[slow] = None
from assay.cli.main import main
main(["inspect", sys.argv[1], "--json", sys.argv[2]])
"""


@pytest.fixture
def broken(tmp_path):
    """A model with three operators that do not compile, one of them custom."""
    graph = GraphBuilder()
    x = graph.input("x", (1, 4))
    y = graph.op("CUSTOM:Mystery", [x], (1, 4))
    y = graph.op("ABS", [y], (1, 4))
    y = graph.op("CUSTOM:Mystery", [y], (1, 4))
    graph.output(graph.op("MATRIX_DIAG", [y], (1, 4, 4)))
    path = tmp_path / "broken.tflite"
    path.write_bytes(graph.build())
    return path


def test_tensors_and_sums(assay, tmp_path):
    (tmp_path / "net.tflite").write_bytes(integer_network())
    code, out, _ = assay("inspect", tmp_path / "net.tflite", "--json", tmp_path / "net.json")
    assert code == 0
    assert "int8" in out.splitlines()[0]
    assert "assay compiles all of its operators." in out
    document = json.loads((tmp_path / "net.json").read_text())
    assert document["inputs"] == [
        {
            "name": "x",
            "shape": [1, 8, 8, 4],
            "dtype": "int8",
            "quantization": {"scale": [pytest.approx(0.1)], "zero_point": [3], "axis": None},
            "arguments": [],
        }
    ]
    assert document["macs"] == 8 * 8 * 4 * 36 + 8 * 8 * 4 * 9 + 3 * 8
    assert [each["index"] for each in document["operators"]] == list(range(9))
    assert document["unsupported"] == []


def test_every_operator_on_a_line_of_its_own(assay, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "net.tflite").write_bytes(integer_network())
    summed = assay("inspect", tmp_path / "net.tflite").out
    listed = assay("inspect", tmp_path / "net.tflite", "--layers").out
    assert "depthwise_conv_2d_1" not in summed
    assert "depthwise_conv_2d_1" in listed


def test_all_that_does_not_compile_is_named(assay, broken, tmp_path):
    code, out, _ = assay("inspect", broken, "--json", tmp_path / "broken.json")
    assert code == 0
    assert "3 operator(s) do not compile:" in out
    found = json.loads((tmp_path / "broken.json").read_text())["unsupported"]
    assert [(each["index"], each["name"]) for each in found] == [
        (0, "CUSTOM:Mystery"),
        (2, "CUSTOM:Mystery"),
        (3, "MATRIX_DIAG"),
    ]
    for each in found:
        assert f"{each['name']} at operator {each['index']}: {each['why']}" in out


def test_compiling_refuses_the_same_ones(refused, broken, tmp_path):
    sentence = refused("compile", broken, "-o", tmp_path / "x.so")
    assert sentence.count("CUSTOM:Mystery at operator") == 2
    assert "MATRIX_DIAG at operator 3" in sentence


def test_nothing_slow_to_import_is_needed(tmp_path):
    (tmp_path / "net.tflite").write_bytes(float_network())
    arguments = [tmp_path / "net.tflite", tmp_path / "net.json"]
    done = subprocess.run(
        [sys.executable, "-c", IN_A_HURRY, *arguments], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "net.json").read_text())["precision"] == "fp32"


def test_open_dimensions_and_several_ends(assay, tmp_path):
    graph = GraphBuilder()
    x = graph.input("x", (1, 4), shape_signature=(-1, 4))
    y = graph.constant("y", np.ones(4, np.float32))
    graph.output(graph.op("ADD", [x, y], (1, 4), output="sum"))
    graph.output(graph.op("MUL", [x, y], (1, 4), output="product"))
    (tmp_path / "net.tflite").write_bytes(graph.build())
    out = assay("inspect", tmp_path / "net.tflite").out
    assert "?x4" in out
    assert "output 0" in out
    assert "output 1" in out


def test_signatures(assay, tmp_path):
    graph = GraphBuilder()
    x = graph.input("serving_x:0", (1, 4))
    y = graph.op("RELU", [x], (1, 4), output="Partitioned:0")
    graph.output(y)
    graph.signature("serve", {"image": x}, {"scores": y})
    (tmp_path / "net.tflite").write_bytes(graph.build())
    out = assay("inspect", tmp_path / "net.tflite", "--json", tmp_path / "net.json").out
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines()]
    assert ["serve", "input", "image", "0", "serving_x:0"] in cells
    assert ["serve", "output", "scores", "1", "Partitioned:0"] in cells
    names = ("signature", "subgraph", "side", "argument", "tensor", "name")
    document = json.loads((tmp_path / "net.json").read_text())
    assert document["signatures"] == [
        dict(zip(names, ("serve", 0, "input", "image", 0, "serving_x:0"), strict=True)),
        dict(zip(names, ("serve", 0, "output", "scores", 1, "Partitioned:0"), strict=True)),
    ]
    assert document["inputs"][0]["arguments"] == [{"signature": "serve", "name": "image"}]


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_the_picture_goes_to_its_file(assay, broken, tmp_path):
    assert assay("inspect", broken, "--svg", tmp_path / "made" / "net.svg").code == 0
    assert "Mystery" in (tmp_path / "made" / "net.svg").read_text()


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_the_picture_carries_the_colours_of_a_profile(assay, tmp_path):
    model, found = tmp_path / "net.tflite", tmp_path / "profile.json"
    model.write_bytes(float_network())
    assert assay("profile", model, "--json", found).code == 0
    assert assay("inspect", model, "--svg", tmp_path / "net.svg", "--profile", found).code == 0
    picture = (tmp_path / "net.svg").read_text()
    times = layer_times(found, read(model))
    # The longest layer is darkest: which one that is differs from run to run, all are small.
    darkest = [box for box in picture.split('class="node"') if "#08306b" in box]
    longest = max(times, key=lambda layer: times[layer])
    assert any(f">{longest}</text>" in box for box in darkest)
    # What was fused into others is white, without a time.
    assert "#ffffff" in picture
    assert picture.count(" ms</text>") == len(times)


def test_profiles_that_cannot_colour(refused, broken, tmp_path):
    picture = ("--svg", tmp_path / "net.svg")
    other, text = tmp_path / "other.json", tmp_path / "text.json"
    assert "--profile is for --svg" in refused("inspect", broken, "--profile", other)
    assert "cannot be read" in refused("inspect", broken, *picture, "--profile", other)
    text.write_text("[1, 2]")
    assert "holds no profile" in refused("inspect", broken, *picture, "--profile", text)
    layer = {"operator": 0, "op": "ADD", "name": "y", "shape": [1], "macs": 0}
    call = {name: [] for name in ("serves", "input_shapes", "input_dtypes")}
    call |= {name: [] for name in ("output_shapes", "output_dtypes")}
    call |= {"symbol": "add", "layers": [layer], "read_bytes": 0, "written_bytes": 0}
    times = {"median_ms": 1.0, "p10_ms": 1.0, "p90_ms": 1.0}
    facts = {"model": "sum", "runtime": "tvm", "threads": 1, "runs": 1, "schema": 1}
    document = {**facts, "total_ms": 1.0, "hook_ms": 0.0, "kernels": [{"call": call, **times}]}
    other.write_text(json.dumps(document))
    reason = refused("inspect", broken, *picture, "--profile", other)
    assert "is about sum, another model" in reason


def test_a_file_that_is_none(refused, tmp_path):
    assert "absent.tflite does not exist" in refused("inspect", tmp_path / "absent.tflite")
    (tmp_path / "text.tflite").write_text("no model at all")
    assert "text.tflite is no TFLite model" in refused("inspect", tmp_path / "text.tflite")
