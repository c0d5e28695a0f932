"""The report as one HTML file that needs nothing else: no network, no other file, no script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from assay.lab.sentences import pair_sentences
from assay.report import text
from assay.report.content import Content, Row, model_hashes
from assay.report.figure import KINDS, shorten
from assay.report.layers import all_layers, details
from assay.report.plots import pareto
from assay.report.svg import Point, matrix_svg, pareto_svg
from assay.report.table import outcome

if TYPE_CHECKING:
    from jinja2 import Environment

_FILTERS = (
    text.percent,
    text.milliseconds,
    text.seconds,
    text.mebibytes,
    text.byte_count,
    text.fact,
    text.one_line,
    outcome,
    pair_sentences,
    shorten,
)


def report_html(found: Content) -> str:
    """Return the page; the same results give the same text."""
    results = found.results
    kinds = _kinds(found.rows)
    pictures = _pareto(found, kinds)
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            c=found,
            results=results,
            dataset={k: v for k, v in results.dataset.items() if k not in ("classes", "labels")},
            classes=results.dataset["classes"],
            kinds=kinds,
            pareto=pictures,
            pairs=_pair_data(found),
            speeds={(p.subject.name, p.reference.name): p.speed for p in found.pairs},
            models=model_hashes(results),
            layer_data=all_layers([row.experiment for row in found.rows]),
            details=details,
            latency_bar=_Bars(
                [r.latency.high_ms for r in found.rows if r.latency]
                + [r.latency.low_ms for r in found.rows if r.latency],
                True,
            ),
            accuracy_bar=_Bars(
                [r.accuracy.high for r in found.rows if r.accuracy]
                + [r.accuracy.low for r in found.rows if r.accuracy],
                False,
            ),
            size_top=max((s for r in found.rows for s in _sizes(r)), default=1),
            matrix=matrix_svg,
            style=_resource("report.css"),
            script=_resource("report.js"),
        )
    )


class _Bars:
    """Where a value lies on an axis that a table's column draws, in percent of its width."""

    def __init__(self, values: Sequence[float], may_be_log: bool) -> None:
        self.log = may_be_log and bool(values) and max(values) / min(values) > 8
        ends = [self._at(v) for v in values] or [0.0, 1.0]
        room = 0.04 * (max(ends) - min(ends)) or 0.5
        self._low, self._high = min(ends) - room, max(ends) + room

    def _at(self, value: float) -> float:
        return math.log(value) if self.log else value

    def __call__(self, value: float) -> float:
        """Return the place of a value, 0 to 100."""
        return round(100 * (self._at(value) - self._low) / (self._high - self._low), 2)


def _kinds(rows: Sequence[Row]) -> dict[str, int]:
    """Number the runtimes in order of appearance: each has its colour."""
    runtimes = dict.fromkeys(row.experiment.runtime for row in rows)
    return {runtime: i % KINDS for i, runtime in enumerate(runtimes)}


def _pareto(found: Content, kinds: dict[str, int]) -> dict[str, Any] | None:
    rows = [row for row in found.rows if row.latency and row.accuracy]
    if not rows:
        return None
    both = [(r.latency.ms, r.accuracy.value) for r in rows if r.latency and r.accuracy]
    front = set(pareto(both))
    points = [
        Point(
            name=row.experiment.name,
            ms=ms,
            accuracy=accuracy,
            size_bytes=row.experiment.loaded_bytes,
            kind=kinds[row.experiment.runtime],
            square=row.experiment.precision != "fp32",
            on_front=(ms, accuracy) in front,
        )
        for row, (ms, accuracy) in zip(rows, both, strict=True)
    ]
    best = ", ".join(p.name for p in points if p.on_front)
    label = (
        f"Accuracy over latency of {len(points)} experiments, listed below; none is both faster "
        f"and more accurate than: {best}"
    )
    return {
        "wide": pareto_svg(points, 900, 420, label),
        "narrow": pareto_svg(points, 420, 400, label),
        "points": points,
    }


def _sizes(row: Row) -> list[int]:
    sizes = (row.experiment.model_bytes, row.experiment.artifact_bytes)
    return [size for size in sizes if size]


def _pair_data(found: Content) -> dict[str, tuple[str, ...]]:
    return {f"{p.subject.name} {p.reference.name}": pair_sentences(p) for p in found.pairs}


def _resource(name: str) -> str:
    return (files("assay.report") / "templates" / name).read_text("utf-8")


@lru_cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("assay.report"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update({function.__name__: function for function in _FILTERS})
    return environment
