"""``assay.compile(..., isolated=True)``: the same build, and a crash that is an error."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest

import assay
from assay.data import DIGITS_FP32
from assay.errors import AssayError, CrashError, ModelError, TargetError
from assay.runtimes.tvm import open_build
from tests.lab import toy
from tests.lab.runs import children, wait_until


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


def test_errors_keep_their_type(model, tmp_path):
    with pytest.raises(TargetError, match="pentium-9"):
        assay.compile(model, isolated=True, target="llvm -mcpu=pentium-9")
    model.write_bytes(model.read_bytes()[:200])
    with pytest.raises(ModelError, match="damaged"):
        assay.compile(model, isolated=True)


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
