"""A command's work in a child process with limits: whatever ends it, the parent can say so.

Parsing a damaged model, a bug in a compiler or a runaway allocation may end a process at once. The
child is a fork of the parent, made before anything heavy is loaded, in the same process group, so
that a terminal's Ctrl-C and Ctrl-Z reach both.
"""

from __future__ import annotations

import faulthandler
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import IO, Any, NoReturn

from assay.errors import ConfigError
from assay.processes import cause_of_death, die_with, limit, limits

_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

# Commands that read a file and are done; all others run over data, for as long as that takes.
_CPU_S = {"inspect": 600, "compile": 3600}


def stand_guard(arguments: Sequence[str]) -> None:
    """Go on in a child; the parent waits for it, and ends as it did.

    If the child died of a signal that nobody sent to the parent, that is one sentence on stderr and
    exit code 2; a log of where it was is kept. Without fork there is no guard.
    """
    if not hasattr(os, "fork"):
        return
    command = next((word for word in arguments if not word.startswith("-")), "")
    try:
        allowed = limits(_CPU_S[command]) if command in _CPU_S else limits()
    except ConfigError as error:
        print(f"assay: {error}", file=sys.stderr)
        sys.exit(2)
    trace = tempfile.TemporaryFile("w+b")  # noqa: SIM115 - open as long as the child runs
    scratch = tempfile.mkdtemp(prefix="assay-")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)
    parent = os.getpid()
    child = os.fork()
    if child:
        _wait(child, arguments, trace, before, scratch)
    signal.signal(signal.SIGINT, _ignore)  # run_app listens; after it all has been said
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    die_with(parent)
    os.environ["TMPDIR"] = tempfile.tempdir = scratch  # the parent can remove it, whatever happens
    faulthandler.enable(trace)
    limit(allowed)


def _ignore(number: int, frame: FrameType | None) -> None:
    """Take no notice of a signal; children of this process do not inherit that."""


def _wait(
    child: int, arguments: Sequence[str], trace: IO[bytes], mask: set[Any], scratch: str
) -> NoReturn:
    received: set[int] = set()

    def pass_on(number: int, frame: FrameType | None) -> None:
        received.add(number)
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(child, number)

    for number in _PASSED_ON:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, pass_on)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    shutil.rmtree(scratch, ignore_errors=True)
    if -code in received or -code == signal.SIGINT:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    if code < 0:
        _report(-code, arguments, trace)
        code = 2
    os._exit(code)


def _report(number: int, arguments: Sequence[str], trace: IO[bytes]) -> None:
    import shlex

    log = _keep(trace)
    # TVM has a handler of its own for some signals, which writes to stderr.
    where = "what it wrote is above" if log is None else f"where it was is in {log}"
    line = shlex.join(["assay", *arguments])
    words = f"assay: {line}: its process died of {cause_of_death(number)}; {where}"
    print(words.replace("\n", " "), file=sys.stderr, flush=True)


def _keep(trace: IO[bytes]) -> str | None:
    """Copy what the child wrote as it died to a file that stays; None if it wrote nothing."""
    trace.seek(0)
    data = trace.read()
    if not data:
        return None
    try:
        handle, path = tempfile.mkstemp(prefix="assay-crash-", suffix=".log")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
    except OSError:  # no room: what was known is lost, the sentence is not
        return None
    return path
