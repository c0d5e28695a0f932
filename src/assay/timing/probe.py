"""What a process and the machine's cores are doing, from Linux' ``/proc``.

On other systems nothing can be told: the functions return empty results or None.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_NS = 1_000_000_000
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class ThreadTime:
    """CPU time that a thread has used, and the time it waited for a core, in nanoseconds."""

    busy_ns: int
    waited_ns: int


@dataclass(frozen=True)
class CoreTime:
    """Seconds since boot that cores were busy, and that a hypervisor took them for others."""

    busy_s: float
    stolen_s: float


def thread_times(task: Path = PROC / "self/task") -> dict[int, ThreadTime]:
    """Return the times of all threads of a process, by thread id.

    From ``schedstat`` (documented in the kernel's sched-stats.rst), in nanoseconds; where the
    kernel keeps none, from ``stat`` in ticks of mostly 10 ms, waiting unknown and 0.
    """
    time.thread_time_ns()  # the kernel books what the caller used at the next tick, or when asked
    times = {}
    for folder in _entries(task):
        found = _schedstat(folder) or _stat(folder)
        if found is not None:
            times[int(folder.name)] = found
    return times


def process_time_ns() -> int:
    """Return the CPU time of this process; exact even where it is limited.

    With ``RLIMIT_CPU`` the kernel answers from a count that it keeps for the limit, which lacks
    what the caller used since the last tick unless that was booked before.
    """
    time.thread_time_ns()
    return time.process_time_ns()


def runnable_threads(task: Path = PROC / "self/task") -> int:
    """Return how many threads besides the calling one run or want to run.

    Unlike CPU time that also shows threads which spin while others have all the cores.
    """
    caller = threading.get_native_id()
    states = [_fields(folder)[:1] for folder in _entries(task) if int(folder.name) != caller]
    return states.count(["R"])


def memory_bytes(field: str, status: Path = PROC / "self/status") -> int | None:
    """Return ``VmRSS`` (memory of the process in RAM) or ``VmHWM`` (its peak so far), in bytes.

    Unlike ``getrusage``, whose peak is that of the parent if that was larger, both begin with the
    program that runs now.
    """
    try:
        lines = status.read_text().splitlines()
    except OSError:
        return None
    return next(
        (int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), None
    )


def thread_cores(task: Path = PROC / "self/task") -> tuple[int, ...]:
    """Return the cores on which at least one thread of this process may run, ascending."""
    if not hasattr(os, "sched_getaffinity"):
        return ()
    cores: set[int] = set()
    for folder in _entries(task):
        try:
            cores |= os.sched_getaffinity(int(folder.name))
        except ProcessLookupError:  # it has ended since
            continue
    return tuple(sorted(cores))


def core_time(cores: Collection[int] = (), stat: Path = PROC / "stat") -> CoreTime | None:
    """Return what these cores (all if none is named) have done, whoever ran on them."""
    wanted = {f"cpu{core}" for core in cores} or {"cpu"}
    try:
        lines = [line.split() for line in stat.read_text().splitlines()]
    except OSError:
        return None
    rows = [[int(ticks) for ticks in line[1:9]] for line in lines if line and line[0] in wanted]
    if not rows:
        return None
    # user, nice, system, idle, iowait, irq, softirq, steal (man 5 proc_stat)
    busy = sum(sum(row[:3]) + sum(row[5:7]) for row in rows)
    return CoreTime(busy / _TICKS_PER_S, sum(row[7] for row in rows) / _TICKS_PER_S)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir(), key=lambda entry: int(entry.name))
    except OSError:
        return []


def _schedstat(folder: Path) -> ThreadTime | None:
    try:
        busy, waited, _slices = (folder / "schedstat").read_text().split()
    except (OSError, ValueError):
        return None
    return ThreadTime(int(busy), int(waited))


def _stat(folder: Path) -> ThreadTime | None:
    fields = _fields(folder)
    if not fields:
        return None
    return ThreadTime((int(fields[11]) + int(fields[12])) * _NS // _TICKS_PER_S, 0)


def _fields(folder: Path) -> list[str]:
    """Return what ``stat`` says of a thread after its name: state, then numbers."""
    try:
        return (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
