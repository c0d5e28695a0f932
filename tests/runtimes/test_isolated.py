"""``assay.load(..., isolated=True)``: the same results, and a crash that is an error."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import assay
from assay.compiler.artifact import manifest_path
from assay.data import DIGITS_FP32, DIGITS_INT8
from assay.errors import ArtifactError, ConfigError, CrashError, InputError, ModelError
from assay.runtimes.base import Runtime
from tests.lab import toy
from tests.lab.runs import alive, children, wait_until


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("isolated")
    (folder / "toy.tflite").write_bytes(toy.float_model())
    assay.compile(folder / "toy.tflite", target="llvm").save(folder / "toy.so")
    return folder / "toy.so"


@pytest.mark.parametrize("path", [DIGITS_FP32, DIGITS_INT8], ids=["fp32", "int8"])
def test_the_results_are_the_same(path):
    here, there = assay.load(path), assay.load(path, isolated=True)
    assert (there.inputs, there.outputs) == (here.inputs, here.outputs)
    assert (there.name, there.threads) == (here.name, 1)
    rng = np.random.default_rng(0)
    for _ in range(2):
        x = rng.uniform(-100, 100, here.inputs[0].shape).astype(here.inputs[0].dtype)
        found = there(x)
        np.testing.assert_array_equal(found, here(x))
        found[:] = 0  # it is the caller's
    there.close()
    there.close()
    with pytest.raises(CrashError, match="load it again"):
        there.run()


def test_a_library_does_not_enter_this_process(library):
    runtime = assay.load(library, isolated=True)
    x = toy.images(1)[0]
    np.testing.assert_array_equal(runtime(x), assay.load(library)(x))
    with pytest.raises(InputError, match="takes float32"):
        runtime.set_input(0, x.astype(np.float64))
    (child,) = children()
    maps = Path(f"/proc/{child}/maps").read_text()
    assert "libtvm_runtime" in maps
    runtime.close()
    assert not alive(child)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGSEGV, "signal 11, Segmentation fault; what it wrote is in "),
        (signal.SIGILL, r"signal 4, Illegal instruction \(perhaps .*\); what it wrote is in "),
        (signal.SIGKILL, r"signal 9, Killed \(perhaps the memory ran out\); it wrote nothing"),
    ],
)
def test_a_crash_is_an_error(library, number, words, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    runtime = assay.load(library, isolated=True)
    (child,) = children()
    os.kill(child, number)
    wait_until(lambda: not alive(child))
    with pytest.raises(CrashError, match=words):
        runtime(toy.images(1)[0])
    assert children() == []
    kept = list(tmp_path.iterdir())
    assert len(kept) == (number != signal.SIGKILL)
    with pytest.raises(CrashError, match="load it again"):
        runtime.get_output()


def test_a_library_that_crashes_as_it_is_loaded(library, tmp_path):
    """The hash says that a library is the one of its manifest, not that it is any good."""
    source, bad = tmp_path / "bad.c", tmp_path / "bad.so"
    source.write_text("__attribute__((constructor)) void start(void) { __builtin_trap(); }")
    compiler = [sys.executable, "-m", "ziglang", "cc", "-shared", "-nostdlib"]
    home = {"ZIG_GLOBAL_CACHE_DIR": str(tmp_path / "zig"), "ZIG_LOCAL_CACHE_DIR": str(tmp_path)}
    subprocess.run([*compiler, source, "-o", bad], env={**os.environ, **home}, check=True)
    fields = json.loads(manifest_path(library).read_text())
    fields["library_sha256"] = hashlib.sha256(bad.read_bytes()).hexdigest()
    fields["library_bytes"] = bad.stat().st_size
    fields["constants"] = []
    manifest_path(bad).write_text(json.dumps(fields))
    with pytest.raises(CrashError, match="signal 4, Illegal instruction"):
        assay.load(bad, isolated=True)
    assert children() == []


def test_errors_keep_their_type(tmp_path, library):
    with pytest.raises(ModelError, match=r"none\.tflite"):
        assay.load(tmp_path / "none.tflite", isolated=True)
    with pytest.raises(ConfigError, match="threads is 0"):
        assay.load(library, threads=0, isolated=True)
    with pytest.raises(ArtifactError, match="no such compiled library"):
        assay.load(tmp_path / "none.so", isolated=True)
    assert children() == []


def test_cpu_time_is_limited(library, monkeypatch):
    monkeypatch.setenv("ASSAY_MAX_CPU_S", "2")
    runtime, x = assay.load(library, isolated=True), toy.images(1)[0]
    with pytest.raises(CrashError, match=r"signal 24, .*ASSAY_MAX_CPU_S allows more"):
        run_for_ever(runtime, x)


def run_for_ever(runtime: Runtime, x: np.ndarray) -> None:
    while True:
        runtime(x)


def test_one_that_is_forgotten_ends(library):
    runtime = assay.load(library, isolated=True)
    (child,) = children()
    del runtime
    gc.collect()
    assert not alive(child)


def test_it_does_not_outlive_its_parent(library):
    script = f"""
import os, signal, assay
from tests.lab.runs import children
runtime = assay.load({str(library)!r}, isolated=True)
print(children()[0], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    wait_until(lambda: not alive(int(done.stdout)), seconds=10)
