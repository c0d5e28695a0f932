"""A comparison as tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

from assay.timing.compare import Comparison
from assay.timing.record import Audit, Bench, Compilation, Outcome

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from assay.timing.gate import Gated

_ABSENT = "-"


def print_bench(bench: Bench, console: Console) -> None:
    """Print times, costs, and the conditions with everything that raises doubt."""
    console.print(latency_table(bench.timed))
    for outcome in bench.outcomes:
        if outcome.status != "timed":
            _line(console, f"{outcome.contender.label} {outcome.status}: {outcome.reason}")
    if len(bench.timed) > 1:
        console.print(ratio_table(bench))
    console.print(start_table(bench.timed))
    console.print(use_table(bench.timed))
    for line in audit_lines(bench.audit):
        _line(console, line)
    for caution in bench.audit.warnings:
        _line(console, f"warning: {caution.message}")


def latency_table(outcomes: Sequence[Outcome]) -> RenderableType:
    """Return the times of inferences in ms."""
    rows = []
    for outcome in outcomes:
        times = outcome.spread
        assert times is not None
        numbers = (times.median_ms, times.mad_ms, times.p10_ms, times.p90_ms, times.p99_ms)
        rows.append((outcome.contender.label, *map(milliseconds, numbers), str(times.runs)))
    return _table(("inference", "median ms", "MAD", "p10", "p90", "p99", "runs"), rows)


def ratio_table(bench: Bench) -> RenderableType:
    """Return each contender's time over that of the first."""
    first = bench.timed[0].contender.label
    rows = [
        (each.subject, ratio_text(each), each.verdict)
        for each in bench.comparisons
        if each.reference == first
    ]
    return _table((f"time / {first}", "ratio [95 % interval]", "verdict"), rows)


def start_table(outcomes: Sequence[Outcome]) -> RenderableType:
    """Return what it takes until the first result, and files: medians over launches."""
    rows = []
    for outcome in outcomes:
        costs = [launch.costs for launch in outcome.launches]
        checks = [cost.check_ms for cost in costs if cost.check_ms is not None]
        compiled = outcome.compilation
        rows.append(
            (
                outcome.contender.label,
                _ABSENT if compiled is None else _seconds(compiled),
                milliseconds(median(cost.load_ms for cost in costs)),
                milliseconds(median(checks)) if checks else _ABSENT,
                milliseconds(median(cost.first_ms for cost in costs)),
                megabytes([costs[0].file_bytes]),
                megabytes([costs[0].weights_bytes]),
            )
        )
    heading = ("start", "compile s", "load ms", "check ms", "first ms", "file MB", "weights")
    return _table(heading, rows)


def _seconds(compiled: Compilation) -> str:
    return f"{compiled.compile_s:.1f}{' (before)' if compiled.cached else ''}"


def use_table(outcomes: Sequence[Outcome]) -> RenderableType:
    """Return what the processes use: medians over launches, peaks of resident memory in MB."""
    rows = []
    for outcome in outcomes:
        costs = [launch.costs for launch in outcome.launches]
        uses = [launch.use for launch in outcome.launches]
        threads = "-".join(map(str, sorted({use.threads_used for use in uses if use.cores})))
        rows.append(
            (
                outcome.contender.label,
                megabytes([cost.imported_bytes for cost in costs]),
                megabytes([cost.loaded_peak_bytes for cost in costs]),
                megabytes([cost.first_peak_bytes for cost in costs]),
                threads or _ABSENT,
                f"{median(use.cpu_per_wall for use in uses):.2f}",
            )
        )
    heading = ("memory", "imported MB", "loaded MB", "first run MB", "threads", "CPU/wall")
    return _table(heading, rows)


def gate_table(gated: Sequence[Gated], allowed: float) -> RenderableType:
    """Return times now over times before."""
    heading = ("time / before", "ratio [95 % interval]", f"at most {allowed:g}")
    return _table(
        heading,
        [(each.comparison.subject, ratio_text(each.comparison), each.finding) for each in gated],
    )


def audit_lines(audit: Audit) -> list[str]:
    """Return the conditions of a measurement as text, a line each."""
    machine = audit.machine
    cores = ", ".join(map(str, audit.cores))
    pinned = f"pinned to core(s) {cores}" if audit.pinned else "not pinned"
    shares = [
        f"{what} {share:.1%}"
        for what, share in (("others", audit.other_share), ("stolen", audit.stolen_share))
        if share is not None
    ]
    return [
        f"CPU: {machine['cpu']} ({machine['arch']}: {' '.join(machine['flags'])})",
        f"cores: {machine['usable_cores']} usable, {pinned}; {audit.threads} thread(s); "
        f"governor {machine['governor'] or 'not known'}",
        f"load average: {audit.load_start:.2f} before, {audit.load_end:.2f} after"
        + (f"; time of these cores: {', '.join(shares)}" if shares else ""),
        "versions: " + ", ".join(f"{name} {version}" for name, version in audit.versions.items()),
    ]


def ratio_text(found: Comparison) -> str:
    """Return a ratio with its interval: ``0.912 [0.905, 0.921]``."""
    return f"{found.ratio:.3f} [{found.low:.3f}, {found.high:.3f}]"


def milliseconds(value: float) -> str:
    """Return a time in ms, at least four digits that count, without the unit."""
    return f"{value:.0f}" if value >= 1000 else f"{value:#.4g}"


def megabytes(values: Sequence[int | None]) -> str:
    """Return the median of sizes in MB (10**6 bytes) without the unit."""
    known = [value for value in values if value is not None]
    return f"{median(known) / 1e6:.1f}" if known else _ABSENT


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> RenderableType:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(*heading, box=SIMPLE_HEAD)
    for index, column in enumerate(table.columns):
        column.justify = "right" if index else "left"
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _line(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
