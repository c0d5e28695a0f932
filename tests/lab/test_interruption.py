"""``assay lab`` stopped from outside: no worker is left, and what was finished is kept."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from assay.lab.inputs import Lab
from assay.lab.runner import run_lab
from assay.lab.store import load
from tests.lab.runs import (
    Recorder,
    alive,
    assay_command,
    children,
    guarded,
    toy_lab,
    wait_until,
)


def start(lab: Lab) -> subprocess.Popen[str]:
    command = assay_command(
        "lab",
        *("--fp32-model-path", lab.models["fp32"], "--int8-model-path", lab.models["int8"]),
        *("--dataset-root", lab.dataset, "--results-path", lab.results_path),
        *("--experiments", "tflite-fp32", "tflite-int8"),
    )
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def second_worker(process: subprocess.Popen[str], lab: Lab) -> int:
    """Wait until the first experiment is saved and the second one runs; return its process."""
    log = lab.results_path / "tflite-int8.log"
    command = guarded(process.pid)
    wait_until(lambda: log.exists() and children(command))
    (pid,) = children(command)
    return pid


@pytest.fixture
def long_lab(toy_folder: Path) -> Lab:
    return toy_lab(toy_folder, "tflite-fp32", "tflite-int8", count=2000)


def test_ctrl_c(long_lab):
    process = start(long_lab)
    worker = second_worker(process, long_lab)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    out, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT, err
    assert err.splitlines()[-1] == "assay: interrupted; what was finished is kept"
    assert "Traceback" not in out + err
    wait_until(lambda: not alive(worker), seconds=5)
    kept = load(long_lab.results_path / "results.json").experiments
    assert [(e.name, e.status) for e in kept] == [("tflite-fp32", "done")]
    recorder = Recorder()
    run_lab(long_lab, recorder)
    assert recorder.events == [("kept", "tflite-fp32"), ("done", "tflite-int8")]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_a_worker_does_not_outlive_the_run(long_lab, number):
    process = start(long_lab)
    worker = second_worker(process, long_lab)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == -number
    wait_until(lambda: not alive(worker), seconds=10)
    kept = load(long_lab.results_path / "results.json").experiments
    assert [e.name for e in kept] == ["tflite-fp32"]
