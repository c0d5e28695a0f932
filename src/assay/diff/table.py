"""What changed between two results, for a terminal and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from assay.diff.changes import SCHEMA_VERSION, Change, Diff, RemarkChange
from assay.diff.sides import Side
from assay.lab.codec import plain
from assay.lab.layerwise import LayerTable
from assay.lab.sentences import pair_sentences
from assay.lab.versus import Latency
from assay.quality.intervals import Share
from assay.report.figure import shorten
from assay.report.text import fact, mebibytes, milliseconds, percent, seconds

_MOST_LAYERS = 15
_LAYER_WIDTH = 40  # converters join the names of all that they fused


def print_diff(found: Diff, console: Console, every_layer: bool = False) -> None:
    """Print what changed, section by section; of layers those that changed most."""
    _say(console, f"A: {found.a.label}\nB: {found.b.label}")
    for title, changes in (("how it was built", found.built), ("IR", found.ir)):
        if changes:
            console.print(_changes(title, changes))
        else:
            _say(console, f"{title}: nothing changed")
    if found.remarks:
        console.print(_remarks(found.remarks))
    if found.layers is not None:
        console.print(_layers(found.layers, every_layer))
    console.print(_numbers(found))
    for sentence in (*pair_sentences(found.pair), *(f"Note: {note}." for note in found.notes)):
        _say(console, sentence)


def as_dict(found: Diff) -> dict[str, Any]:
    """Return everything as plain JSON data."""
    pair, table = found.pair, found.layers
    document: dict[str, Any] = plain(
        {
            "schema": SCHEMA_VERSION,
            "a": _side(found.a),
            "b": _side(found.b),
            "built": found.built,
            "ir": found.ir,
            "remarks": [{**asdict(each), "how": each.how} for each in found.remarks],
            "layers": None if table is None else _layer_rows(table),
            "numbers": {"a": found.numbers[0], "b": found.numbers[1]},
            "speed": pair.speed,
            "accuracy": pair.accuracy,
            "size_ratio": pair.size_ratio,
            "identical": pair.identical,
            "notes": found.notes,
        }
    )
    return document


def _side(side: Side) -> dict[str, Any]:
    return {
        "label": side.label,
        "experiment": side.experiment.name if side.run else None,
        "library_sha256": side.experiment.library_sha256,
        "created": side.run.created if side.run else None,
    }


def _layer_rows(table: LayerTable) -> list[dict[str, Any]]:
    """Return all rows of the table; the last one is the time outside of kernels."""
    rows: list[dict[str, Any]] = [
        {
            "title": group.title,
            "layer": group.name,
            "a_ms": group.reference.ms,
            "b_ms": group.subject.ms,
        }
        for group in table.groups
    ]
    gap = {"a_ms": table.gaps[1], "b_ms": table.gaps[0]}
    return [*rows, {"title": "outside of kernels", "layer": "", **gap}]


def _changes(title: str, changes: Iterable[Change]) -> Table:
    table = _table(title, ("", "A", "B"))
    for each in changes:
        table.add_row(each.what, Text(fact(each.a)), Text(fact(each.b)))
    return table


def _remarks(remarks: Iterable[RemarkChange]) -> Table:
    table = _table("remarks", ("", "remark", "evidence", "A", "B", "A ms", "B ms"), words=3)
    for each in remarks:
        costs = ("" if ms is None else f"{ms:,.3f}" for ms in (each.a_ms, each.b_ms))
        table.add_row(each.how, each.id, Text(each.evidence), str(each.a), str(each.b), *costs)
    return table


def _layers(found: LayerTable, every: bool) -> Table:
    """Return the layers in the network's order, the rest of them and of the time as one row."""
    numbered = list(enumerate(found.groups))
    numbered.sort(key=lambda each: -abs(each[1].subject.ms - each[1].reference.ms))
    shown = numbered if every else numbered[:_MOST_LAYERS]
    rest = numbered[len(shown) :]
    table = _table("time by layer", ("operators", "layer", "A ms", "B ms", "B - A"), words=2)
    for _, group in sorted(shown, key=lambda each: each[0]):
        _times(table, group.title, group.name, group.reference.ms, group.subject.ms)
    if rest:
        a, b = (
            sum(side.ms for side in sides)
            for sides in zip(*((g.reference, g.subject) for _, g in rest), strict=True)
        )
        _times(table, f"({len(rest)} more, which changed less)", "", a, b)
    _times(table, "(outside of kernels)", "", *reversed(found.gaps))
    _times(table, "whole inference, profiled", "", *reversed(found.totals))
    return table


def _times(table: Table, title: str, layer: str, a: float, b: float) -> None:
    table.add_row(
        title, Text(shorten(layer, _LAYER_WIDTH)), f"{a:,.3f}", f"{b:,.3f}", f"{b - a:+,.3f}"
    )


def _numbers(found: Diff) -> Table:
    table = _table("measured", ("", "A", "B"))
    a, b = found.numbers
    rows: tuple[tuple[str, Callable[[Any], str], Any, Any], ...] = (
        ("one inference", _latency, a.latency, b.latency),
        ("top-1 accuracy", _share, a.accuracy, b.accuracy),
        ("size of what is loaded", mebibytes, a.loaded_bytes, b.loaded_bytes),
        ("compile time", seconds, a.compile_s, b.compile_s),
    )
    for what, show, before, after in rows:
        if before is not None or after is not None:
            table.add_row(what, show(before), show(after))
    return table


def _latency(time: Latency | None) -> str:
    if time is None:
        return milliseconds(None)
    return f"{milliseconds(time.ms)} ({time.low_ms:.3f} to {time.high_ms:.3f})"


def _share(share: Share | None) -> str:
    if share is None:
        return percent(None)
    return f"{percent(share.value)} ({100 * share.low:.2f} to {100 * share.high:.2f})"


def _table(title: str, columns: tuple[str, ...], words: int = 1) -> Table:
    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        justify = "left" if index < words or words == 1 else "right"
        table.add_column(column, justify=justify, overflow="fold")  # type: ignore[arg-type]
    return table


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
