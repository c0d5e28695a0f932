"""``kill -9`` at random moments of a run, a full disk: the same command again makes it whole."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from assay.errors import ResultsError
from assay.lab.inputs import Lab
from assay.lab.results import Results
from assay.lab.runner import run_lab
from assay.lab.store import load
from tests.disk import fill
from tests.fuzz import amounts
from tests.lab import toy
from tests.lab.runs import Recorder, alive, assay_command, children, toy_lab, wait_until, with_plan

PLAN = ("tflite-fp32", "tflite-int8", "tvm-fp32-nhwc")
TURNS = {"launches": 1, "rounds": 4}


def start(lab: Lab) -> subprocess.Popen[bytes]:
    command = assay_command(
        "lab",
        *("--fp32-model-path", lab.models["fp32"], "--int8-model-path", lab.models["int8"]),
        *("--dataset-root", lab.dataset, "--results-path", lab.results_path),
        *("--launches", TURNS["launches"], "--rounds", TURNS["rounds"]),
        *("--experiments", *PLAN),
    )
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def facts(results: Results) -> list[object]:
    """Return what must not depend on interruptions: everything but times and the folder."""
    return [
        replace(
            each,
            timing=None,
            compile_s=None,
            compile_cached=None,
            library_sha256=None,
            layer_times=None,
            log_lines=None,
            remarks=[remark["id"] for remark in each.remarks or ()],
        )
        for each in results.experiments
    ]


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def descendants(pid: int) -> list[int]:
    own = children(pid)
    return [*own, *(each for child in own for each in descendants(child))]


def finished(lab: Lab) -> set[str]:
    file = lab.results_path / "results.json"
    return {e.name for e in load(file).experiments} if file.exists() else set()


def with_turns(folder: Path) -> Lab:
    return replace(toy_lab(folder, *PLAN, count=60), **TURNS)


def timed(results: Results) -> set[str]:
    """Return what took turns in all rounds."""
    assert results.turns is not None
    assert all(len(rounds) == 4 for (rounds,) in results.turns.rounds_ms.values())
    return set(results.turns.rounds_ms)


def test_kill_minus_nine(tmp_path):
    whole = with_turns(tmp_path / "whole")
    started = time.monotonic()
    assert start(whole).wait(timeout=600) == 0
    taken = time.monotonic() - started
    expected = load(whole.results_path / "results.json")
    assert [e.status for e in expected.experiments] == ["done"] * len(PLAN)
    assert timed(expected) == set(PLAN)
    rng = random.Random(9 + amounts.SEED)
    interrupted = 0
    for number in range(amounts.KILLS):
        lab = with_turns(tmp_path / str(number))
        process = start(lab)
        time.sleep(rng.uniform(0.02, 1.0) * taken)
        family = descendants(process.pid)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        wait_until(lambda family=family: not any(map(alive, family)), seconds=20)
        kept = finished(lab)
        interrupted += len(kept) < len(PLAN)
        recorder = Recorder()
        results = run_lab(lab, recorder)
        assert facts(results) == facts(expected), number
        assert timed(results) == set(PLAN), number
        assert {name for what, name in recorder.events if what == "kept"} == kept
        assert {name for what, name in recorder.events if what == "done"} == set(PLAN) - kept
        assert files(lab.results_path) == files(whole.results_path), number
    assert interrupted or amounts.KILLS < 5


@pytest.mark.parametrize("leave", [0, 8192])
def test_a_full_disk_keeps_what_was_there(small_disk, leave):
    lab = toy_lab(small_disk, "tflite-fp32")
    run_lab(lab, Recorder())
    file = lab.results_path / "results.json"
    before = file.read_bytes()
    fill(small_disk, leave)
    with pytest.raises(ResultsError, match="No space left on device"):
        run_lab(with_plan(lab, "tflite-fp32", "tflite-int8"), Recorder())
    assert file.read_bytes() == before
    assert not list(lab.results_path.glob(".*"))
    (small_disk / "filler").unlink()
    recorder = Recorder()
    results = run_lab(with_plan(lab, "tflite-fp32", "tflite-int8"), recorder)
    assert recorder.events[0] == ("kept", "tflite-fp32")
    assert [e.status for e in results.experiments] == ["done", "done"]


def test_a_library_on_a_full_disk(small_disk, tmp_path):
    model, library = tmp_path / "toy.tflite", small_disk / "toy.so"
    model.write_bytes(toy.float_model())
    library.write_bytes(b"earlier")
    fill(small_disk, 0)
    done = subprocess.run(
        assay_command("compile", model, "-o", library, "--target", "llvm"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("assay: ")
    assert "No space left on device" in done.stderr
    assert library.read_bytes() == b"earlier"
    assert files(small_disk) == {"toy.so", "filler"}
