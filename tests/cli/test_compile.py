"""``assay compile``: every choice reaches the build, every mistake is found before it."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from subprocess import PIPE

import numpy as np
import pytest

from assay.api import load
from assay.data import DIGITS_FP32
from tests.builder import GraphBuilder
from tests.lab import toy
from tests.lab.runs import assay_command, guarded, wait_until


def test_library_manifest_log_and_json(assay, files):
    code, out, _ = assay(
        *("compile", files / "toy.fp32.tflite", "-o", files / "made/here/toy.so"),
        *("--target", "llvm -mcpu=x86-64-v2", "--target-host", "llvm", "--opt-level", 2),
        *("--layout", "nchw", "--convert-ops", "conv2d, qnn.conv2d", "--precision", "float"),
        *("--log", files / "logs/build.log", "--json", files / "made.json"),
    )
    assert code == 0
    assert out.startswith(f"{files}/made/here/toy.so: ")
    manifest = json.loads((files / "made/here/toy.so.json").read_text())
    assert manifest["config"] == {
        "target": "llvm -mcpu=x86-64-v2",
        "target_host": "llvm",
        "opt_level": 2,
        "layout": "nchw",
        "convert_ops": ["conv2d", "qnn.conv2d"],
        "precision": "float",
        "pipeline": "assay",
        "batch": 1,
        "inputs": None,
        "outputs": None,
        "signature": None,
    }
    assert manifest["library_bytes"] == (files / "made/here/toy.so").stat().st_size
    assert json.loads((files / "made.json").read_text()) == manifest
    assert "[target]" in (files / "logs/build.log").read_text()


def test_tvms_own_pipeline(assay, files):
    out = files / "stock.so"
    assert assay("compile", files / "toy.fp32.tflite", "-o", out, "--pipeline", "stock").code == 0
    x = toy.images(1)[0]
    np.testing.assert_allclose(load(out)(x), x.mean(axis=(1, 2)), atol=1e-6)


def test_a_part_of_a_graph_for_a_batch(assay, files):
    """--batch fills what the file leaves open; --inputs and --outputs go round what is unknown."""
    graph = GraphBuilder()
    x = graph.input("x", (1, 2), shape_signature=(-1, 2))
    y = graph.op("NEG", [x], (1, 2), output="y", shape_signature=(-1, 2))
    z = graph.op("ABS", [y], (1, 2), output="z", shape_signature=(-1, 2))
    end = graph.op("CUSTOM:Mystery", [z], (1, 2), output="end")
    graph.output(end)
    graph.signature("serve", {"image": x}, {"scores": end})
    (files / "net.tflite").write_bytes(graph.build())
    command = ("compile", files / "net.tflite", "-o", files / "part.so", "--target", "llvm")
    done = assay(*command, "--batch", 3, "--inputs", "image", "--outputs", "z", "--outputs", "y")
    assert done.code == 0, done.err
    v = np.float32([[1, -2], [3, 4], [-5, 6]])
    z, y = load(files / "part.so")(v)
    np.testing.assert_array_equal(z, np.abs(v))
    np.testing.assert_array_equal(y, -v)
    assert assay("inspect", files / "net.tflite", "--json", files / "net.json").code == 0
    rows = json.loads((files / "net.json").read_text())["signatures"]
    named = [(row["side"], row["argument"], row["tensor"], row["name"]) for row in rows]
    assert named == [("input", "image", 0, "x"), ("output", "scores", 3, "end")]
    assert {(row["signature"], row["subgraph"]) for row in rows} == {("serve", 0)}


def test_another_machine_can_be_compiled_for(assay, files):
    target = "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72"
    out = files / "arm.so"
    assert assay("compile", files / "toy.fp32.tflite", "-o", out, "--target", target).code == 0
    assert out.read_bytes()[18:20] == b"\xb7\0"  # ELF's e_machine: EM_AARCH64


@pytest.mark.usefixtures("own_cache")
def test_ctrl_c_is_no_error_of_the_model(files):
    """TVM makes an error of its own of an interruption."""
    command = assay_command("compile", DIGITS_FP32, "-o", files / "digits.so")
    process = subprocess.Popen(command, stdout=PIPE, stderr=PIPE, text=True)
    child = guarded(process.pid)
    wait_until(lambda: "libtvm" in Path(f"/proc/{child}/maps").read_text())
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (-signal.SIGINT, "")
    assert err.splitlines()[-1] == "assay: interrupted; what was finished is kept"
    assert "Traceback" not in err
    assert not list(files.glob("*digits.so*"))


class TestRefused:
    @pytest.fixture
    def refuse(self, refused, files):
        def run(*options, model="toy.fp32.tflite", output="toy.so"):
            (files / "toy.so").write_text("an earlier build")
            sentence = refused("compile", files / model, "-o", files / output, *options)
            assert (files / "toy.so").read_text() == "an earlier build"
            assert {path.suffix for path in files.iterdir()} <= {".tflite", ".npz", ".npy", ".so"}
            return sentence

        return run

    @pytest.mark.parametrize(
        ("name", "spoil"),
        [
            ("half", lambda data: data[: len(data) // 2]),
            ("flipped", lambda data: data[:4] + bytes([data[4] ^ 1]) + data[5:]),
            ("text", lambda _data: b"I am no model\n" * 100),
            ("empty", lambda _data: b""),
        ],
    )
    def test_a_damaged_model(self, refuse, files, name, spoil):
        path = files / f"{name}.tflite"
        path.write_bytes(spoil(toy.float_model()))
        assert refuse(model=path.name).startswith(f"{path} is ")

    def test_a_missing_model(self, refuse):
        assert "none.tflite does not exist" in refuse(model="none.tflite")

    def test_a_directory(self, refuse, files):
        (files / "folder.tflite").mkdir()
        assert "folder.tflite" in refuse(model="folder.tflite")

    def test_operators_that_cannot_be_compiled_are_all_named(self, refuse, files):
        graph = GraphBuilder()
        x = graph.op("CUSTOM:Mine", [graph.input("x", (1, 4))], (1, 4))
        graph.output(graph.op("CUSTOM:Yours", [x], (1, 4)))
        (files / "custom.tflite").write_bytes(graph.build())
        sentence = refuse(model="custom.tflite")
        assert "custom.tflite" in sentence
        assert "Mine" in sentence
        assert "Yours" in sentence

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (("--opt-level", "5"), "opt level 5"),
            (("--opt-level", "-1"), "opt level -1"),
            (("--layout", "nhcw"), "'nhcw'"),
            (("--precision", "int4"), "'int4'"),
            (("--pipeline", "relay"), "'relay'"),
            (("--layout", "nchw", "--convert-ops", "softmax"), "softmax"),
            (("--pipeline", "stock", "--layout", "nchw"), "stock"),
            (("--target", "llvm -mcpu=pentium-9"), "pentium-9"),
            (("--target", "cuda"), "kind must be llvm"),
            (("--target", "llvm -mcpu"), "-mcpu"),
            (("--target", ""), "target ''"),
            (("--target-host", "llvm -mattr=+warp"), "warp"),
        ],
    )
    def test_a_choice_that_does_not_exist(self, refuse, options, words):
        assert words in refuse(*options)

    @pytest.mark.parametrize("option", ["--json", "--log"])
    @pytest.mark.parametrize("path", ["x.npy/deep/file", "/proc/file", "."])
    def test_a_file_that_cannot_be_written_is_told_before_the_work(
        self, refuse, files, option, path
    ):
        # The model is missing, too: it would have been looked for next.
        assert "cannot be written" in refuse(option, files / path, model="none.tflite")

    def test_an_output_that_cannot_be_written(self, refuse):
        assert "x.npy" in refuse(output="x.npy/toy.so", model="none.tflite")

    def test_an_output_that_would_not_be_found_as_a_library(self, refuse):
        assert "has to end in .so" in refuse(output="toy.fp32.tflite")

    def test_an_option_without_its_value(self, assay, files):
        code, _, err = assay("compile", files / "toy.fp32.tflite", "-o")
        assert code == 2
        assert "'-o' requires an argument" in err
