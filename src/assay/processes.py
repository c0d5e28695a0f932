"""Child processes: their limits, their end with their parent's, and words for how they died.

A crash in native code, an endless loop or a lack of memory ends the child; the parent says so.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from dataclasses import dataclass
from tempfile import NamedTemporaryFile
from typing import Any

from assay.errors import ConfigError

MEMORY_VARIABLE = "ASSAY_MAX_MEMORY_MB"
CPU_VARIABLE = "ASSAY_MAX_CPU_S"

OUT_OF_MEMORY = (
    f"there is no memory left for it: give it a smaller model, or set {MEMORY_VARIABLE} above "
    "what this machine has"
)

_LEAST_MEMORY_BYTES = 8 << 30  # address space is more than memory: libraries, stacks, arenas
_DAY_S = 24 * 3600

_PR_SET_PDEATHSIG = 1  # prctl(2)

_HINTS = {
    signal.SIGKILL: "perhaps the memory ran out",
    signal.SIGILL: "perhaps the target is not for this CPU",
    signal.SIGXCPU: f"its CPU time is used up; {CPU_VARIABLE} allows more",
}


@dataclass(frozen=True)
class Limits:
    """What one process may take: bytes of address space, seconds of CPU time of all threads."""

    memory_bytes: int
    cpu_s: int


def limits(cpu_s: int = _DAY_S) -> Limits:
    """Return what the environment allows; by default this machine's memory, and ``cpu_s``.

    ConfigError if ``ASSAY_MAX_MEMORY_MB`` or ``ASSAY_MAX_CPU_S`` is no whole number above zero.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    chosen = _number(MEMORY_VARIABLE)
    return Limits(
        memory_bytes=max(memory, _LEAST_MEMORY_BYTES) if chosen is None else chosen << 20,
        cpu_s=_number(CPU_VARIABLE) or cpu_s,
    )


def limit(found: Limits) -> None:
    """Hold this process, and those that it starts from now on, to limits.

    Above its address space an allocation fails, above its CPU time it dies of SIGXCPU. A limit that
    is tighter already stays as it is.
    """
    import resource

    for kind, wanted in (
        (resource.RLIMIT_AS, found.memory_bytes),
        (resource.RLIMIT_CPU, found.cpu_s),
    ):
        soft, hard = resource.getrlimit(kind)
        if soft == resource.RLIM_INFINITY or soft > wanted:
            resource.setrlimit(kind, (wanted, hard))


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, whatever that died of."""
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before
        sys.exit("the parent is gone")


def out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory ran out: Python's, the system's, or C++'s by name."""
    return (
        isinstance(error, MemoryError)
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or "bad_alloc" in str(error)
    )


def cause_of_death(number: int) -> str:
    """Return how a process died that a signal ended: "signal 9, Killed (perhaps ...)"."""
    hint = f" ({_HINTS[signal.Signals(number)]})" if number in _HINTS else ""
    return f"signal {number}, {signal.strsignal(number)}{hint}"


def end_of(code: int) -> str:
    """Return how a process ended, from its exit code as ``subprocess`` gives it."""
    return cause_of_death(-code) if code < 0 else f"code {code}"


def keep(text: str) -> str:
    """Keep what a process wrote before it died, and return the end of the sentence about it."""
    if not text:
        return "; it wrote nothing"
    options: Any = {"prefix": "assay-crash-", "suffix": ".log", "delete": False}
    try:
        with NamedTemporaryFile("w", encoding="utf-8", **options) as file:
            file.write(text)
    except OSError:
        return ""
    return f"; what it wrote is in {file.name}"


def _number(variable: str) -> int | None:
    text = os.environ.get(variable)
    if not text:
        return None
    if not text.isdecimal() or not 0 < int(text) < 1 << 32:
        raise ConfigError(f"{variable}={text!r} is no whole number above zero: correct or unset it")
    return int(text)
