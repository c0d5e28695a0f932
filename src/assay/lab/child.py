"""Start a worker, follow its messages, and turn every way it can end into a result."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from assay.lab.codec import decode_experiment
from assay.lab.results import ExperimentResult
from assay.lab.worker import Task

# Told a stage ("compiling", "evaluating") and how many of how many examples are done.
Watch = Callable[[str, int, int], None]


def run_in_child(task: Task, log: Path, watch: Watch) -> ExperimentResult:
    """Run one experiment in its own process and return its result, failed ones included.

    The child is killed if this call is interrupted. Its stderr, and so the compiler's log, is kept
    in ``log``.
    """
    with log.open("wb") as stderr:
        child = subprocess.Popen(
            [sys.executable, "-m", "assay.lab.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**os.environ, "TVM_NUM_THREADS": str(task.threads), "TVM_BIND_THREADS": "0"},
            start_new_session=True,  # Ctrl-C is for the parent; it decides what to keep
        )
        try:
            final = _follow(child, task, watch)
        finally:
            child.kill()
            code = child.wait()
    if "result" in final:
        return replace(decode_experiment(final["result"]), log=log.name)
    return _failed(task, log, final.get("error") or _describe_end(code, log))


def _follow(child: subprocess.Popen[str], task: Task, watch: Watch) -> dict[str, Any]:
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(task.encode())
        child.stdin.close()
    except BrokenPipeError:
        pass  # it died at once: how, its exit code tells
    stage, final = "starting", {}
    for line in child.stdout:
        message = json.loads(line)
        stage = message.get("stage", stage)
        if "result" in message or "error" in message:
            final = message
        watch(stage, message.get("done", 0), message.get("total", 0))
    child.wait()
    return final


def _describe_end(code: int, log: Path) -> str:
    if code < 0:
        return f"its process died of {signal.Signals(-code).name}; what it wrote is in {log.name}"
    return f"its process ended with code {code}; the traceback is in {log.name}"


def _failed(task: Task, log: Path, reason: str) -> ExperimentResult:
    config = task.experiment.config
    return ExperimentResult(
        name=task.experiment.name,
        title=task.experiment.title,
        status="failed",
        fingerprint=task.fingerprint,
        runtime=task.experiment.runtime,
        precision=task.experiment.model,
        reason=reason,
        config=None if config is None else config.as_dict(),
        log=log.name,
    )
