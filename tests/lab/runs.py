"""Lab runs for tests: a monitor that writes down what it is told, and a look at processes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from assay.compiler.config import Config
from assay.lab.inputs import Lab
from assay.lab.plan import Experiment, plan
from assay.lab.results import ExperimentResult
from tests.lab import toy

TVM_TOY = Experiment("tvm-toy", "FP32 on TVM", "fp32", Config(target="llvm", layout="nhwc"))


class Recorder:
    """Writes down what it is told; ``during`` may interfere at each step of an experiment."""

    def __init__(self, during: Callable[[str, str], None] = lambda _name, _stage: None) -> None:
        self.events: list[tuple[str, str]] = []
        self.copies: list[Path] = []
        self.steps: list[tuple[str, str, int, int]] = []
        self._during = during

    def set_aside(self, copy: Path) -> None:
        self.copies.append(copy)

    def kept(self, result: ExperimentResult) -> None:
        self.events.append(("kept", result.name))

    def working(self, name: str, stage: str, done: int, total: int) -> None:
        self.steps.append((name, stage, done, total))
        self._during(name, stage)

    def finished(self, result: ExperimentResult) -> None:
        self.events.append((result.status, result.name))


def toy_lab(folder: Path, *experiments: str | Experiment, count: int = 40) -> Lab:
    """Set up a run of the toy models, with experiments of the plan by name or others."""
    fp32, int8, data = toy.write(folder, count)
    names = [e for e in experiments if isinstance(e, str)]
    known = {experiment.name: experiment for experiment in plan(only=names)}
    return Lab(
        models={"fp32": fp32, "int8": int8},
        dataset=f"npz:{data}",
        results_path=folder / "results",
        experiments=tuple(known[e] if isinstance(e, str) else e for e in experiments),
        command="a test",
        launches=0,
    )


def with_plan(lab: Lab, *experiments: str | Experiment) -> Lab:
    """Return the same run with other experiments."""
    names = [e for e in experiments if isinstance(e, str)]
    known = {experiment.name: experiment for experiment in plan(only=names)}
    return replace(
        lab, experiments=tuple(known[e] if isinstance(e, str) else e for e in experiments)
    )


def children(parent: int | None = None) -> list[int]:
    """Return the processes that a process has started and that are not dead."""
    wanted = os.getpid() if parent is None else parent
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, ppid = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue  # gone meanwhile
        if int(ppid) == wanted and state != "Z":
            found.append(int(stat.parent.name))
    return found


def guarded(parent: int) -> int:
    """Wait until a command has started the process that does its work, and return that."""
    wait_until(lambda: children(parent))
    return children(parent)[0]


def workers() -> list[int]:
    """Return the lab's workers among the children of this process."""
    return [pid for pid in children() if b"assay.lab.worker" in _command_line(pid)]


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Return as soon as something holds; an AssertionError if it never does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "what was waited for did not happen"
        time.sleep(0.02)


def assay_command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "assay.cli.main", *map(str, arguments)]


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
