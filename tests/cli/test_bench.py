"""``assay bench``: what it times, prints and stores, and when its gate fails."""

from __future__ import annotations

import json
import os

import pytest

from assay.cli.main import main
from assay.data import DIGITS_FP32
from tests.builder import GraphBuilder

CORE = str(max(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else "0"
QUICK = ("--launches", "1", "--rounds", "6", "--min-time", "0.001")


@pytest.fixture(scope="module")
def addition(tmp_path_factory):
    """A model that compiles in a moment."""
    graph = GraphBuilder()
    x = graph.input("x", (1, 4))
    graph.output(graph.op("ADD", [x, x], (1, 4), output="y"))
    path = tmp_path_factory.mktemp("models") / "addition.tflite"
    path.write_bytes(graph.build())
    return path


def test_a_build_of_the_digit_classifier_against_litert(assay, tmp_path):
    stored = tmp_path / "found.json"
    code, out, err = assay("bench", DIGITS_FP32, *QUICK, "--cores", CORE, "--json", stored)
    assert code == 0, err
    document = json.loads(stored.read_text())
    assert [each["contender"]["label"] for each in document["outcomes"]] == ["assay O3", "litert"]
    assert document["settings"] == {
        "threads": 1,
        "launches": 1,
        "rounds": 6,
        "min_time_s": 0.001,
        "cores": [int(CORE)],
        "seed": 0,
    }
    assert document["audit"]["versions"].keys() >= {"assay", "apache-tvm", "ai-edge-litert"}
    build, peer = document["outcomes"]
    assert build["compilation"]["compile_s"] > 0
    assert peer["output_difference"] < 1e-3
    (ratio,) = document["comparisons"]
    assert f"{ratio['ratio']:.3f} [{ratio['low']:.3f}, {ratio['high']:.3f}]" in out
    assert "CPU: " in out
    assert "warning: 1 launch(es)" in out


def test_levels_options_and_runtimes_that_cannot_take_part(assay, addition, tmp_path):
    command = ("bench", addition, *QUICK, "--against", "onnxruntime, stock", "--json")
    options = ("--opt-level", "0,2", "--layout", "nhwc", "--target", "llvm", "--seed", "7")
    code, out, err = assay(*command, tmp_path / "found.json", *options)
    assert code == 0, err
    outcomes = json.loads((tmp_path / "found.json").read_text())["outcomes"]
    found = [(each["contender"]["label"], each["status"]) for each in outcomes]
    assert found == [
        ("assay O0", "timed"),
        ("assay O2", "timed"),
        ("onnxruntime", "skipped"),
        ("stock", "timed"),
    ]
    config = outcomes[1]["contender"]["config"]
    assert (config["opt_level"], config["layout"], config["target"]) == (2, "nhwc", "llvm")
    assert "onnxruntime skipped: it reads no .tflite: give the model as --onnx FILE too" in out


def test_a_runtime_alone(assay, addition):
    code, out, _ = assay("bench", addition, *QUICK, "--opt-level", "none")
    assert code == 0
    assert "litert" in out
    assert "assay O" not in out


@pytest.fixture(scope="module")
def measured(addition):
    """A comparison stored just now."""
    path = addition.with_name("now.json")
    with pytest.raises(SystemExit) as end:
        main(["bench", str(addition), *QUICK, "--json", str(path)])
    assert not end.value.code
    return path


@pytest.fixture
def earlier(measured, tmp_path):
    """The same, as if everything had been twenty times as fast back then."""
    document = json.loads(measured.read_text())
    for outcome in document["outcomes"]:
        for launch in outcome["launches"]:
            for each in launch["rounds"]:
                each["samples_ns"] = [ns / 20 for ns in each["samples_ns"]]
    path = tmp_path / "earlier.json"
    path.write_text(json.dumps(document))
    return path


def gate_row(out):
    """Return what the gate says of the build."""
    gate = out[out.index("time / before") :]
    return next(line for line in gate.splitlines() if "assay O3" in line)


def test_the_gate_fails_on_what_is_surely_slower(assay, addition, earlier):
    code, out, _ = assay("bench", addition, *QUICK, "--gate", earlier, "--max-slowdown", "2")
    assert code == 1
    assert "too slow" in gate_row(out)
    assert "at most 2" in out


def test_the_gate_lets_the_same_build_pass(assay, addition, measured):
    code, out, _ = assay("bench", addition, *QUICK, "--gate", measured, "--max-slowdown", "5")
    assert code == 0
    assert "fast enough" in gate_row(out)


def test_a_yardstick_takes_the_speed_of_the_machine_out(assay, addition, earlier):
    command = ("bench", addition, *QUICK, "--gate", earlier, "--max-slowdown", "5")
    code, out, _ = assay(*command, "--yardstick", "litert")
    assert code == 0
    assert "fast enough" in gate_row(out)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--against", "abacus"), "'abacus' is no runtime"),
        (("--opt-level", "3,x"), "give levels such as 3,4, or none"),
        (("--opt-level", "9"), "opt level 9 does not exist"),
        (("--layout", "hwcn"), "layout 'hwcn' does not exist"),
        (("--rounds", "1"), "rounds is 1"),
        (("--launches", "5", "--rounds", "4"), "each of 5 launch"),
        (("--launches", "0"), "launches is 0"),
        (("--threads", "0"), "threads is 0"),
        (("--min-time", "-1"), "min-time is -1"),
        (("--min-time", "nan"), "min-time is nan"),
        (("--seed", "-1"), "seed is -1"),
        (("--cores", "9999"), "there are"),
        (("--yardstick", "litert"), "--yardstick is for --gate"),
        (("--gate", "absent.json"), "absent.json cannot be read"),
        (("--onnx", "m.onnx"), "add onnxruntime to --against"),
    ],
)
def test_mistakes_are_refused_before_anything_is_timed(refused, addition, options, reason):
    assert reason in refused("bench", addition, *options)


def test_models_that_cannot_be_timed_are_refused(refused, tmp_path):
    reason = "give .tflite, .onnx and compiled .so files"
    assert reason in refused("bench", tmp_path / "m.h5")
    assert "does not exist" in refused("bench", tmp_path / "m.tflite")
    assert "does not exist" in refused("bench", tmp_path / "m.onnx")
