"""Contenders' processes: what they answer, and every way in which they can end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from assay.data import DIGITS_FP32, DIGITS_INT8
from assay.timing.child import Child, ChildFailed, environment
from tests.timing.processes import contenders, running, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks processes up in /proc")

CORE = max(os.sched_getaffinity(0)) if sys.platform == "linux" else 0


@pytest.fixture
def child(tmp_path):
    with Child(1, (CORE,), tmp_path) as started:
        yield started


def load(child, path=DIGITS_FP32, runtime="litert", **other):
    return child.ask(
        "load", 60, **{"runtime": runtime, "path": str(path), "threads": 1, "seed": 0, **other}
    )


def test_costs_of_a_model(child):
    answer = load(child)
    costs = answer["costs"]
    assert costs["file_bytes"] == DIGITS_FP32.stat().st_size
    assert 0.8 * costs["file_bytes"] < costs["weights_bytes"] < costs["file_bytes"]
    assert all(costs[f"{what}_ms"] > 0 for what in ("import", "check", "load", "first"))
    assert costs["imported_bytes"] < costs["loaded_peak_bytes"] <= costs["first_peak_bytes"]
    assert costs["loaded_peak_bytes"] - costs["imported_bytes"] > 0.5 * costs["weights_bytes"]
    assert answer["inputs"] == [[1, 96, 96, 3]]
    assert [len(values) for values in answer["outputs"]] == [10]


def test_the_same_seed_gives_the_same_outputs(tmp_path):
    outputs = []
    for seed in (4, 4, 5):
        with Child(1, (), tmp_path) as child:
            outputs.append(load(child, seed=seed)["outputs"])
    assert outputs[0] == outputs[1] != outputs[2]


def test_a_round(child):
    load(child)
    warm = child.ask("warm_up", 60, slice_ns=2_000_000)
    assert len(warm["medians_ns"]) >= 3
    assert warm["runs"] >= len(warm["medians_ns"])
    first = child.ask("round", 60, time_ns=20_000_000)
    assert all(ns > 0 for ns in first["samples_ns"])
    timed = first["settling_ns"] + sum(first["samples_ns"])
    assert timed <= first["wall_ns"]
    assert 0 < first["cpu_ns"] <= 1.1 * first["wall_ns"]
    time.sleep(0.2)
    second = child.ask("round", 60, time_ns=0)
    assert len(second["samples_ns"]) == 1
    assert second["idle_ns"] > 150_000_000
    final = child.ask("finish", 60)
    assert final["cores"] == [CORE]
    # What the kernel booked on threads is what the process used in rounds.
    assert sum(final["busy_ns"]) == pytest.approx(first["cpu_ns"] + second["cpu_ns"], rel=0.2)
    assert final["peak_bytes"] > 0


def test_a_round_of_a_fast_model_is_limited(child, addition):
    load(child, addition)
    assert len(child.ask("round", 60, time_ns=500_000_000)["samples_ns"]) == 1000


def test_two_threads_are_seen(tmp_path):
    cores = tuple(sorted(os.sched_getaffinity(0)))
    if len(cores) < 2:
        pytest.skip("needs two cores")
    with Child(2, cores[:2], tmp_path) as child:
        load(child, threads=2)
        child.ask("round", 60, time_ns=200_000_000)
        busy = child.ask("finish", 60)["busy_ns"]
    assert sum(ns > 0.05 * busy[0] for ns in busy) == 2


def test_compiling(child, addition, tmp_path):
    config = {
        "target": "native",
        "target_host": None,
        "opt_level": 2,
        "layout": "nchw",
        "convert_ops": ["conv2d"],
        "precision": "auto",
        "pipeline": "assay",
    }
    library = tmp_path / "out.so"
    answer = child.ask("compile", 120, path=str(addition), config=config, library=str(library))
    assert answer["compile_s"] > 0
    assert answer["resolved_layout"] == "nchw"
    assert "llvm" in answer["resolved_target"]
    loaded = load(child, library, "tvm")
    assert loaded["costs"]["file_bytes"] == library.stat().st_size
    assert loaded["costs"]["weights_bytes"] >= 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"path": "/absent.tflite"}, "does not exist"),
        ({"runtime": "abacus"}, "no runtime is named 'abacus'"),
        ({"path": str(DIGITS_INT8), "runtime": "onnxruntime"}, "export the model"),
        ({"path": __file__, "runtime": "tvm"}, "is no TFLite model"),
    ],
)
def test_what_cannot_be_loaded_is_said_in_the_errors_own_words(child, change, reason):
    with pytest.raises(ChildFailed, match=reason):
        load(child, **change)


def test_a_killed_process_is_named(child):
    load(child)
    (pid,) = contenders()
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ChildFailed, match="died of signal 9, Killed"):
        child.ask("round", 60, time_ns=0)


def test_a_bug_shows_its_last_line(child):
    with pytest.raises(ChildFailed, match="ended with code 1: AttributeError"):
        child.ask("dance", 60)


def test_a_process_that_hangs_is_given_up(child):
    load(child)
    (pid,) = contenders()
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(ChildFailed, match=r"no answer to 'round' within 0\.2 s"):
        child.ask("round", 0.2, time_ns=0)
    assert not running({pid})


def test_closing_ends_the_process_in_the_midst_of_a_run(tmp_path):
    child = Child(1, (), tmp_path)
    load(child)
    (pid,) = contenders()
    with pytest.raises(ChildFailed):
        child.ask("round", 0.1, time_ns=3600 * 10**9)
    child.close()
    assert not running({pid})


def test_the_kernel_ends_contenders_of_a_parent_that_was_killed(tmp_path):
    """Even in the midst of a run, when nobody reads that the connection has closed."""
    script = (
        "import sys; from pathlib import Path; from assay.data import DIGITS_FP32; "
        "from assay.timing.child import Child; child = Child(1, (), Path(sys.argv[1])); "
        "child.ask('load', 60, runtime='litert', path=str(DIGITS_FP32), threads=1, seed=0); "
        "print('loaded', flush=True); child.ask('round', 3600, time_ns=3600 * 10**9)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert parent.stdout.readline() == "loaded\n"
        (pid,) = contenders(parent.pid)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    wait_until(lambda: not running({pid}), 10)


def test_nobodys_thread_settings_are_inherited(tmp_path):
    given = {"HOME": "/h", "TVM_NUM_THREADS": "9", "OMP_PROC_BIND": "true", "KMP_BLOCKTIME": "1"}
    made = environment(given, 3, tmp_path)
    assert made["HOME"] == "/h"
    assert (made["TVM_NUM_THREADS"], made["OMP_NUM_THREADS"]) == ("3", "3")
    assert made["TVM_BIND_THREADS"] == "0"
    assert not made.keys() & {"OMP_PROC_BIND", "KMP_BLOCKTIME"}
