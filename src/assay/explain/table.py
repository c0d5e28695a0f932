"""Prices of remarks as a table for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from assay.compiler.config import Config
from assay.compiler.remarks.fix import command, fixed
from assay.compiler.remarks.remark import Remark
from assay.explain.costs import Costs
from assay.explain.session import Achieved


@dataclass(frozen=True)
class Cause:
    """Remarks of one kind about one kind of operator, taken together; None if not measured."""

    first: Remark
    count: int
    cost_ms: float | None


def causes(remarks: Iterable[Remark]) -> list[Cause]:
    """Take equal remarks together, the costliest first."""
    groups: dict[tuple[str, str], list[Remark]] = {}
    for remark in remarks:
        groups.setdefault((remark.id, remark.evidence), []).append(remark)
    found = [Cause(group[0], len(group), _sum(group)) for group in groups.values()]
    return sorted(found, key=lambda cause: -(cause.cost_ms or 0.0))


def _sum(remarks: list[Remark]) -> float | None:
    known = [remark.cost_ms for remark in remarks if remark.cost_ms is not None]
    return sum(known) if known else None


def print_costs(costs: Costs, model: Path, config: Config, console: Console) -> None:
    """Print causes, worst first, what is left, and the command that mends each."""
    table = Table(title="what this build loses against the best one")
    for title in ("ms", "share", "remark", "evidence"):
        words = title in ("remark", "evidence")
        table.add_column(title, justify="left" if words else "right", overflow="fold")
    whole = costs.build.total_ms
    found = causes(costs.remarks)
    for cause in found:
        ms = cause.cost_ms
        numbers = ("", "") if ms is None else (f"{ms:,.3f}", f"{ms / whole:.1%}")
        table.add_row(*numbers, cause.first.id, f"{cause.count} x {cause.first.evidence}")
    for title, ms in (
        ("(kernels that no remark is about)", costs.unexplained_ms),
        ("(outside of kernels)", costs.outside_ms),
    ):
        table.add_row(f"{ms:,.3f}", f"{ms / whole:.1%}", "", title)
    console.print(table)
    _say(
        console,
        f"this build {whole:,.3f} ms, best build {costs.best.total_ms:,.3f} ms: difference "
        f"{costs.difference_ms:,.3f} ms, of which remarks explain {costs.remarks_ms:,.3f} ms",
    )
    for rule, first in {cause.first.id: cause.first for cause in found}.items():
        _say(console, f"\n{rule}: {first.why} {first.advice}")
        if first.fix:
            _say(console, f"  {command(model, fixed(config, first))}")


def print_achieved(found: Sequence[Achieved], model: Path, console: Console) -> None:
    """Print what each fix promised and what it brought."""
    table = Table(title="fixes, tried", caption="in brackets: share of an inference without it")
    for title in ("promised ms", "achieved ms", "remarks", "command"):
        right = title.endswith("ms")
        table.add_column(title, justify="right" if right else "left", overflow="fold")
    for each in found:
        ids = ", ".join(each.ids)
        line = command(model, each.config)
        promised = f"{each.promised_ms:,.3f} ({each.promised_share:.0%})"
        achieved = f"{each.achieved_ms:,.3f} ({each.achieved_share:.0%})"
        table.add_row(promised, achieved, ids, line)
    console.print(table)


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
