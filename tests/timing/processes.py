"""The processes that a measurement starts, as the system sees them."""

from __future__ import annotations

import os
import time
from pathlib import Path


def contenders(parent: int | None = None) -> set[int]:
    """Return the contender processes that a process (this one by default) has started."""
    parent = os.getpid() if parent is None else parent
    found = set()
    for folder in Path("/proc").iterdir():
        try:
            command = (folder / "cmdline").read_bytes()
            ppid = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        if ppid == parent and b"assay.timing.contender" in command:
            found.add(int(folder.name))
    return found


def wait_until(condition, limit_s=60.0):
    """Wait for a condition and return its value; fail loudly if it never comes true."""
    end = time.monotonic() + limit_s
    while not (value := condition()):
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)
    return value


def running(pids):
    """Return those that are still there, and no zombies waiting to be reaped."""
    alive = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z":
            alive.add(pid)
    return alive
