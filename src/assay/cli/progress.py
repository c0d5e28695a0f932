"""Progress bars on stderr: for one loop, and for a lab run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from assay.lab.results import ExperimentResult


def _bar() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,  # else it leaves empty lines in a log
    )


@contextmanager
def counting(title: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar as long as the block runs; it yields what to call with (done, total)."""
    with _bar() as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class LabProgress:
    """Shows a lab run: a bar for the whole plan, one for the experiment under way."""

    def __init__(self, total: int) -> None:
        self._bar = _bar()
        self._whole = self._bar.add_task("experiments", total=total)
        self._current = self._bar.add_task("", total=None)

    def __enter__(self) -> LabProgress:
        self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()

    def set_aside(self, copy: Path) -> None:
        """Take note of where the results of other inputs went."""
        self._print(f"results of other inputs are kept in {copy}")

    def kept(self, result: ExperimentResult) -> None:
        """Take note of an experiment that an earlier run finished."""
        self._line(f"{result.name}: kept from an earlier run")

    def working(self, name: str, stage: str, done: int, total: int) -> None:
        """Take note of a step inside an experiment."""
        self._bar.update(
            self._current, description=f"{name}: {stage}", completed=done, total=total or None
        )

    def finished(self, result: ExperimentResult) -> None:
        """Take note of an experiment that ended, well or not."""
        self._line(f"{result.name}: {_outcome(result)}")

    def _line(self, text: str) -> None:
        self._print(text)
        self._bar.advance(self._whole)

    def _print(self, text: str) -> None:
        self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)


def _outcome(result: ExperimentResult) -> str:
    if result.quality is None or result.timing is None:
        return f"{result.status}, {result.reason}"
    accuracy, median = result.quality.accuracy, result.timing.median_ms
    return f"{accuracy:.2%} correct, {median:.3f} ms (median)"
