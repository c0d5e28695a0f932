"""The comparison of all experiments as a table: rows of text, for Markdown or the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from assay.lab.results import ExperimentResult, Quality, Results
from assay.report.text import (
    ABSENT,
    markdown,
    mean_and_std,
    mebibytes,
    milliseconds,
    one_line,
    percent,
    seconds,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_STATUS_WIDTH = 32
"""Columns of the terminal that the status needs at least; longer reasons wrap."""

Group = Literal["name", "what", "quality", "cost"]


@dataclass(frozen=True)
class Column:
    """One column: its heading, its cell for an experiment, and the table it joins if they split."""

    heading: str
    group: Group
    cell: Callable[[ExperimentResult], str]

    @property
    def numeric(self) -> bool:
        """Whether the column is set flush right."""
        return self.group in ("quality", "cost")


@dataclass(frozen=True)
class Comparison:
    """The table as text: one row an experiment, in the plan's order."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def _quality(share: Callable[[Quality], float | None]) -> Callable[[ExperimentResult], str]:
    return lambda e: ABSENT if e.quality is None else percent(share(e.quality))


def outcome(experiment: ExperimentResult) -> str:
    """Return the status, with the reason if there is one: ``skipped: this CPU lacks avx512f``."""
    reason = one_line(experiment.reason or "")
    return f"{experiment.status}: {reason}" if reason else experiment.status


COLUMNS = (
    Column("Experiment", "name", lambda e: e.name),
    Column("What", "what", lambda e: one_line(e.title)),
    Column("Top-1", "quality", _quality(lambda q: q.accuracy)),
    Column("Top-5", "quality", _quality(lambda q: q.top5)),
    Column("Mean precision", "quality", _quality(lambda q: q.mean_precision)),
    Column("Mean sensitivity", "quality", _quality(lambda q: q.mean_sensitivity)),
    Column("G-mean", "quality", _quality(lambda q: q.g_mean)),
    Column("Latency, mean ± std", "cost", lambda e: mean_and_std(e.timing)),
    Column("Median", "cost", lambda e: milliseconds(e.timing.median_ms if e.timing else None)),
    Column("First run", "cost", lambda e: milliseconds(e.timing.first_ms if e.timing else None)),
    Column("Size", "cost", lambda e: mebibytes(e.loaded_bytes)),
    Column("Compile time", "cost", lambda e: seconds(e.compile_s)),
    Column("Status", "what", outcome),
)


def comparison(results: Results) -> Comparison:
    """Return the comparison table of all experiments, skipped and failed ones included."""
    return Comparison(
        tuple(column.heading for column in COLUMNS),
        tuple(tuple(column.cell(e) for column in COLUMNS) for e in results.experiments),
    )


def comparison_markdown(results: Results) -> str:
    """Return the comparison as a GitHub-flavoured Markdown table, ended by a newline."""
    table = comparison(results)
    rule = tuple("---:" if column.numeric else "---" for column in COLUMNS)
    rows = [[markdown(cell) for cell in row] for row in (table.header, *table.rows)]
    return "".join(f"| {' | '.join(row)} |\n" for row in (rows[0], rule, *rows[1:]))


def print_comparison(results: Results, console: Console) -> None:
    """Print the comparison: as one table if the terminal is wide enough, else as three."""
    from rich.measure import Measurement

    unlimited = console.options.update(max_width=10_000)
    others = _terminal_table(results, [column for column in COLUMNS if column.cell is not outcome])
    if Measurement.get(console, unlimited, others).maximum + _STATUS_WIDTH <= console.width:
        console.print(_terminal_table(results, COLUMNS))
        return
    for group in ("what", "quality", "cost"):
        columns = [column for column in COLUMNS if column.group in ("name", group)]
        console.print(_terminal_table(results, columns), "")


def _terminal_table(results: Results, columns: Sequence[Column]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(
            column.heading.replace(" ", "\n", 1),
            justify="right" if column.numeric else "left",
            overflow="fold",
            no_wrap=column.group == "name",
        )
    for experiment in results.experiments:
        # Text, not str: what looks like markup in a name or a reason is none.
        table.add_row(*(Text(column.cell(experiment)) for column in columns))
    return table
