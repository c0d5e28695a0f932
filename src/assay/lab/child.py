"""Start a worker, follow its messages, and turn every way it can end into a result."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from assay.errors import DatasetError, ResultsError
from assay.lab.codec import decode_experiment
from assay.lab.folder import SCRATCH
from assay.lab.results import ExperimentResult
from assay.lab.worker import Task
from assay.processes import cause_of_death

# Told a stage ("compiling", "evaluating") and how many of how many examples are done.
Watch = Callable[[str, int, int], None]


def run_in_child(task: Task, log: Path, watch: Watch) -> ExperimentResult:
    """Run one experiment in its own process and return its result, failed ones included.

    The child is killed if this call is interrupted. Its stderr, and so the compiler's log, is kept
    in ``log``. DatasetError if an example cannot be decoded, which concerns every experiment;
    ResultsError if the log cannot be written.
    """
    try:
        stderr = log.open("wb")
    except OSError as error:
        raise ResultsError(
            f"{log} cannot be written ({error.strerror}): give another --results-path"
        ) from error
    with stderr, TemporaryDirectory(prefix=SCRATCH, dir=log.parent) as scratch:
        child = subprocess.Popen(
            [sys.executable, "-m", "assay.lab.worker", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, **_environment(task.threads, scratch)},
            start_new_session=True,  # Ctrl-C is for the parent; it decides what to keep
        )
        try:
            final = _follow(child, task, watch)
        finally:
            _end(child)
    if "dataset_error" in final:
        raise DatasetError(final["dataset_error"])
    if "result" in final:
        return replace(decode_experiment(final["result"]), log=log.name)
    reason = final.get("error") or _describe_end(child.returncode, log)
    return task.experiment.unmeasured("failed", reason, task.fingerprint, log.name)


def _environment(threads: int, scratch: str) -> dict[str, str]:
    return {
        "TVM_NUM_THREADS": str(threads),
        "TVM_BIND_THREADS": "0",
        "TMPDIR": scratch,  # a killed worker cannot remove its temporary files
        "PYTHONSAFEPATH": "1",  # -m would import a numpy.py of the current directory
    }


def _follow(child: subprocess.Popen[str], task: Task, watch: Watch) -> dict[str, Any]:
    """Send the task, pass messages on until the worker is gone, and return the final one."""
    assert child.stdin is not None
    assert child.stdout is not None
    # A worker that died at once does not read: how it died, its exit code tells.
    with suppress(BrokenPipeError), child.stdin:
        child.stdin.write(task.encode())
    stage, final = "starting", {}
    for message in filter(None, map(_message, child.stdout)):
        if message.keys() & {"result", "error", "dataset_error"}:
            final = message
            continue
        stage = message.get("stage", stage)
        watch(stage, message.get("done", 0), message.get("total", 0))
    child.wait()
    return final


def _message(line: str) -> dict[str, Any]:
    """Return a message; an empty one for a line that is none, such as half of one."""
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def _end(child: subprocess.Popen[str]) -> None:
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)  # the linker that it may have started, too
        child.wait()


def _describe_end(code: int, log: Path) -> str:
    if code >= 0:
        return f"its process ended with code {code}; the traceback is in {log.name}"
    return f"its process died of {cause_of_death(-code)}; what it wrote is in {log.name}"
