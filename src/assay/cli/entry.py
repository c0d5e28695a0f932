"""From the command line to a command, and what becomes of errors and of Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

import typer

from assay.errors import AssayError
from assay.processes import OUT_OF_MEMORY, out_of_memory

DEBUG = "ASSAY_DEBUG"

# Plain help and usage errors, and tracebacks of bugs as Python writes them.
SETTINGS: dict[str, Any] = {"rich_markup_mode": None, "pretty_exceptions_enable": False}
# A terminal sends the signal to all processes, and the guard passes it on.
_ONE_PRESS_S = 1.0
HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}


def run_app(app: typer.Typer, arguments: Sequence[str]) -> None:
    """Run the command line; a user's mistake is one sentence on stderr and exit code 2."""
    with _noting_interrupts() as interrupts:
        try:
            app(spread(arguments, "--experiments"))
        except BaseException as end:
            if isinstance(end, SystemExit) and not end.code:
                raise
            if interrupts:
                print("assay: interrupted; what was finished is kept", file=sys.stderr)
                _end_by_interrupt()
            told = OUT_OF_MEMORY if out_of_memory(end) else str(end)
            if isinstance(end, AssayError) or told == OUT_OF_MEMORY:
                if os.environ.get(DEBUG):
                    raise
                print(f"assay: {told}", file=sys.stderr)
                sys.exit(2)
            raise


def _end_by_interrupt() -> NoReturn:
    """End as an interrupted program does: by SIGINT, so that a shell's loop ends too.

    Exit code 130 could not be kept to: an interruption inside of code that Python compiled from a
    string (data classes are) ends the interpreter by the signal whatever becomes of the exception.
    """
    sys.excepthook = lambda *_: None  # what there is to say has been said
    raise KeyboardInterrupt from None


@contextmanager
def _noting_interrupts() -> Iterator[list[float]]:
    """Give a list that grows with each Ctrl-C: TVM and Typer turn the exception into others."""
    interrupts: list[float] = []

    def note(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        again = bool(interrupts) and now - interrupts[-1] < _ONE_PRESS_S
        interrupts.append(now)
        if not again:
            signal.default_int_handler(number, frame)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)


def spread(arguments: Sequence[str], option: str) -> list[str]:
    """Repeat ``option`` before each of the values that follow it, up to the next option.

    Without any value it is left as one that is empty, so that it is refused and not ignored. After
    ``--`` nothing is an option.
    """
    result: list[str] = []
    rest = list(arguments)
    while rest and rest[0] != "--":
        argument = rest.pop(0)
        if argument != option and not argument.startswith(f"{option}="):
            result.append(argument)
            continue
        values = [argument.removeprefix(option).removeprefix("=")] if argument != option else []
        while rest and not rest[0].startswith("-"):
            values.append(rest.pop(0))
        result += [f"{option}={value}" for value in values or [""]]
    return result + rest
