"""Which cores a measurement is pinned to."""

from __future__ import annotations

import os
from pathlib import Path

from assay.cpu import ROOT, text
from assay.errors import ConfigError


def parse_cores(given: str) -> tuple[int, ...]:
    """Turn ``0,2-3`` into (0, 2, 3); ConfigError for anything else and for unusable cores."""
    cores: set[int] = set()
    for part in given.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise ConfigError(f"--cores {given!r} is no list of cores: give numbers, such as 0,2-3")
        cores.update(range(int(first), int(last if dash else first) + 1))
    usable = usable_core_numbers()
    unknown = sorted(cores - set(usable)) if usable else []
    if unknown or not cores:
        raise ConfigError(
            f"--cores {given!r} names cores that this process may not use: "
            f"there are {', '.join(map(str, usable))}"
        )
    return tuple(sorted(cores))


def choose_cores(threads: int, root: Path = ROOT) -> tuple[int, ...]:
    """Return as many usable cores as there are threads, or all if there are fewer.

    Cores that share no physical one come first, and high numbers before low: the first core mostly
    serves the interrupts.
    """
    chosen: list[int] = []
    siblings: set[int] = set()
    usable = sorted(usable_core_numbers(), reverse=True)
    for core in usable:
        if core not in siblings:
            chosen.append(core)
            siblings |= _siblings(core, root)
    rest = [core for core in usable if core not in chosen]
    return tuple(sorted((chosen + rest)[:threads]))


def usable_core_numbers() -> tuple[int, ...]:
    """Return the cores that this process may run on; none where the system does not tell."""
    if not hasattr(os, "sched_getaffinity"):
        return ()
    return tuple(sorted(os.sched_getaffinity(0)))


def pin(cores: tuple[int, ...]) -> bool:
    """Keep this process, and threads that it starts from now on, on ``cores``; tell if it is so."""
    if not cores or not hasattr(os, "sched_setaffinity"):
        return False
    os.sched_setaffinity(0, cores)
    return os.sched_getaffinity(0) == set(cores)


def _siblings(core: int, root: Path) -> set[int]:
    """Return the logical cores that share a physical one with ``core``, itself included."""
    listed = text(root / f"sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
    siblings = {core}
    for part in (listed or "").split(","):
        first, dash, last = part.partition("-")
        if first.isdecimal():
            siblings.update(range(int(first), int(last if dash else first) + 1))
    return siblings
