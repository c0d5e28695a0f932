"""Reading and compiling with ``isolated``: the same outcome, and a crash that is an error."""

from __future__ import annotations

import io
import os
import pickle
import signal
import threading
from pathlib import Path

import numpy as np
import pytest

import assay
from assay.data import DIGITS_FP32, DIGITS_INT8
from assay.errors import AssayError, CrashError, ModelError, TargetError
from assay.isolated import _Facts
from assay.runtimes.tvm import open_build
from tests.lab import toy
from tests.lab.runs import children, wait_until
from tests.runtimes.onnx_builder import model as onnx_model
from tests.runtimes.onnx_builder import node


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "toy.tflite"
    path.write_bytes(toy.float_model())
    return path


def test_the_build_is_the_same(model, tmp_path):
    here = assay.compile(model, target="llvm", convert_ops=("conv2d",), layout="nchw")
    there = assay.compile(
        model, isolated=True, target="llvm", convert_ops=("conv2d",), layout="nchw"
    )
    assert there.manifest.kernels == here.manifest.kernels
    assert there.manifest.outputs == here.manifest.outputs
    x = toy.images(1)[0]
    np.testing.assert_array_equal(open_build(there)(x), open_build(here)(x))
    there.save(tmp_path / "toy.so")
    np.testing.assert_array_equal(assay.load(tmp_path / "toy.so")(x), open_build(here)(x))


@pytest.mark.parametrize("path", [DIGITS_FP32, DIGITS_INT8], ids=["fp32", "int8"])
def test_the_facts_are_the_same(path):
    assert assay.read(path, isolated=True) == assay.read(path)


def test_facts_of_onnx_are_the_same(tmp_path):
    pytest.importorskip("onnx")
    path = tmp_path / "net.onnx"
    port = ("float32", (1, 3))
    nodes = [node("Add", ["x", "x"], ["s"]), node("Relu", ["s"], ["y"])]
    path.write_bytes(onnx_model(nodes, [("x", *port)], [("y", *port)]))
    assert assay.read(path, isolated=True) == assay.read(path)


def test_facts_hold_nothing_that_runs():
    class Trap:
        def __reduce__(self):
            return os.getcwd, ()

    facts = io.BytesIO(pickle.dumps({"model": Trap()}))
    with pytest.raises(pickle.UnpicklingError, match="no fact of a model"):
        _Facts(facts).load()


def test_errors_keep_their_type(model, tmp_path):
    with pytest.raises(TargetError, match="pentium-9"):
        assay.compile(model, isolated=True, target="llvm -mcpu=pentium-9")
    model.write_bytes(model.read_bytes()[:200])
    with pytest.raises(ModelError, match="damaged"):
        assay.compile(model, isolated=True)
    with pytest.raises(ModelError, match="damaged"):
        assay.read(model, isolated=True)


def test_reading_is_limited(model, monkeypatch):
    monkeypatch.setenv("ASSAY_MAX_MEMORY_MB", "300")
    weights = model.with_name("weights.tflite")
    weights.write_bytes(model.read_bytes() + bytes(400 << 20))
    with pytest.raises(AssayError, match="memory"):
        assay.read(weights, isolated=True)


def test_a_crash_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def crash() -> None:
        wait_until(children)
        (child,) = children()
        process = Path(f"/proc/{child}")
        # Before, it is a copy of this process, which has TVM loaded and no handler.
        wait_until(lambda: b"assay.isolated" in (process / "cmdline").read_bytes())
        wait_until(lambda: "libtvm" in (process / "maps").read_text())
        os.kill(child, signal.SIGILL)

    thread = threading.Thread(target=crash)
    thread.start()
    with pytest.raises(CrashError, match="signal 4, Illegal instruction") as caught:
        assay.compile(DIGITS_FP32, isolated=True)
    thread.join()
    assert isinstance(caught.value, (AssayError, RuntimeError))
    (log,) = tmp_path.iterdir()
    assert str(caught.value).endswith(f"what it wrote is in {log}")
    assert "most recent call first" in log.read_text()
