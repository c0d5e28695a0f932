"""Pictures inside the HTML page: SVG whose colours are the page's, so that it follows its theme."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from assay.report.figure import shorten
from assay.report.labels import place
from assay.report.text import mebibytes, milliseconds, one_line, percent

_LOG_FROM = 8
"""Ratio of the slowest to the fastest from which the axis of latencies is logarithmic."""
_MOST_CELLS = 4000
"""Cells of a matrix beyond which a page of many matrices would grow too large to open quickly."""


@dataclass(frozen=True)
class Point:
    """An experiment in the Pareto picture; ``kind`` is 0 to 6, the number of its colour."""

    name: str
    ms: float
    accuracy: float
    size_bytes: int | None
    kind: int
    square: bool
    on_front: bool


class Scale:
    """Maps values to a length, logarithmically if they span a lot.

    ``margin`` is the room beyond either end, as a share of the span, ``least`` at least how much.
    """

    def __init__(
        self, values: Sequence[float], length: float, margin: float = 0.06, least: float = 0.0
    ) -> None:
        low, high = min(values), max(values)
        self.log = low > 0 and high / low > _LOG_FROM
        low, high = (math.log10(low), math.log10(high)) if self.log else (low, high)
        room = max(margin * (high - low), least) or margin * max(abs(high), 1e-9)
        self._low, self._high, self._length = low - room, high + room, length

    def __call__(self, value: float) -> float:
        """Return where a value lies, from 0 to the length."""
        value = math.log10(value) if self.log else value
        return (value - self._low) / (self._high - self._low) * self._length

    @property
    def ticks(self) -> list[float]:
        """Round values inside of the scale, about five."""
        if self.log:
            first, last = math.floor(self._low), math.ceil(self._high)
            steps = (1, 2, 5) if self._high - self._low < 2.2 else (1,)
            found = [step * 10.0**power for power in range(first, last + 1) for step in steps]
            return [v for v in found if self._low <= math.log10(v) <= self._high]
        step = 10 ** math.floor(math.log10((self._high - self._low) / 4))
        step *= next((m for m in (1, 2, 5) if (self._high - self._low) / (m * step) <= 6), 10)
        first = math.ceil(self._low / step)
        return [k * step for k in range(first, math.floor(self._high / step) + 1)]


def pareto_svg(points: Sequence[Point], width: int, height: int, label: str) -> str:
    """Draw accuracy over latency; a marker's area is the size of the file, its number the row."""
    left, right, top, bottom = 52, 14, 14, 44
    x = Scale([p.ms for p in points], width - left - right)
    y = Scale([100 * p.accuracy for p in points], height - top - bottom, 0.18, least=0.5)
    places = [(left + x(p.ms), height - bottom - y(100 * p.accuracy)) for p in points]
    parts = [
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}" '
        f'class="pareto" preserveAspectRatio="xMidYMid meet">'
    ]
    for tick in x.ticks:
        at = left + x(tick)
        parts.append(_line(at, top, at, height - bottom, "grid"))
        parts.append(_text(at, height - bottom + 16, f"{tick:g}", "middle"))
    for tick in (tick for tick in y.ticks if tick <= 100):
        at = height - bottom - y(tick)
        parts.append(_line(left, at, width - right, at, "grid"))
        parts.append(_text(left - 6, at + 4, f"{tick:g}", "end"))
    parts.append(_text(left + (width - left - right) / 2, height - 8, "latency [ms]", "middle"))
    middle = top + (height - top - bottom) / 2
    parts.append(
        f'<text x="13" y="{middle:.1f}" text-anchor="middle" '
        f'transform="rotate(-90 13 {middle:.1f})">top-1 accuracy [%]</text>'
    )
    parts.append(_front(points, places))
    largest = max((p.size_bytes or 0 for p in points), default=0) or 1
    radii = [5 + 9 * math.sqrt((p.size_bytes or 0) / largest) for p in points]
    for i in sorted(range(len(points)), key=lambda i: -radii[i]):
        parts.append(_marker(points[i], *places[i], radii[i]))
    shifts = place(places, marker=22, width=16, height=13)
    for number, ((px, py), (dx, dy)) in enumerate(zip(places, shifts, strict=True), 1):
        if math.hypot(dx, dy) > 24:
            parts.append(_line(px, py, px + dx, py + dy, "leader"))
        parts.append(_text(px + dx, py + dy + 4, str(number), "middle", "number"))
    return "".join(parts) + "</svg>"


def _front(points: Sequence[Point], places: Sequence[tuple[float, float]]) -> str:
    front = sorted(at for point, at in zip(points, places, strict=True) if point.on_front)
    steps = [f"{x:.1f},{y:.1f}" for x, y in front[:1]]
    for (_, before), (x, y) in pairwise(front):
        steps += [f"{x:.1f},{before:.1f}", f"{x:.1f},{y:.1f}"]
    return f'<polyline class="front" points="{" ".join(steps)}"/>' if len(front) > 1 else ""


def _marker(point: Point, x: float, y: float, radius: float) -> str:
    title = (
        f"{point.name}: {milliseconds(point.ms)}, {percent(point.accuracy)}, "
        f"{mebibytes(point.size_bytes)}"
    )
    shape = (
        f'<rect x="{x - radius * 0.886:.1f}" y="{y - radius * 0.886:.1f}" '
        f'width="{radius * 1.772:.1f}" height="{radius * 1.772:.1f}" class="mark k{point.kind}">'
        if point.square
        else f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" class="mark k{point.kind}">'
    )
    tag = "rect" if point.square else "circle"
    return f"{shape}<title>{escape(one_line(title))}</title></{tag}>"


_CELL = 12
_NAMED = 60
"""Up to this many classes the axes carry their names; more would be too small to read."""
_NAME_LIMIT = 22


def matrix_svg(
    counts: list[list[int]], classes: Sequence[str], label: str, difference: bool = False
) -> str:
    """Draw a matrix, true classes downwards: shares of rows, or differences of counts.

    Only cells that are not zero are drawn, the 4,000 largest if there are more. Differences are
    blue where there are more samples than in the reference and orange where there are fewer, with a
    sign in each cell's text. Up to 60 classes are named along both axes.
    """
    n = len(counts)
    names = [classes[i] if i < len(classes) else str(i) for i in range(n)]
    cells = [(r, c, v) for r, row in enumerate(counts) for c, v in enumerate(row) if v]
    cells = sorted(sorted(cells, key=lambda cell: -abs(cell[2]))[:_MOST_CELLS])
    most = max((abs(v) for _, _, v in cells), default=1)
    totals = [sum(row) or 1 for row in counts]
    margin = _name_margin(names)
    side = n * _CELL + margin + 6
    scale = 2.2 if n <= 12 else 1.6 if n <= 20 else 1.3
    parts = [
        f'<svg viewBox="{-margin} {-margin} {side} {side}" width="{side * scale:.0f}" role="img" '
        f'aria-label="{escape(label)}" class="matrix">'
        f'<rect width="{n * _CELL}" height="{n * _CELL}" class="field"/>'
    ]
    for r, c, v in cells:
        part = abs(v) / most if difference else v / totals[r]
        kind = ("more" if v > 0 else "less") if difference else "share"
        shown = f"{v:+d}" if difference else str(v)
        title = escape(one_line(f"{names[r]} taken for {names[c]}: {shown}"))
        parts.append(
            f'<rect x="{c * _CELL}" y="{r * _CELL}" width="{_CELL}" height="{_CELL}" '
            f'class="{kind}" fill-opacity="{max(0.12, math.sqrt(part)):.2f}">'
            f"<title>{title}</title></rect>"
        )
        if len(shown) * 5.5 < _CELL + 2 and n <= _NAMED:
            light = " on" if math.sqrt(part) > 0.6 else ""
            x, y = c * _CELL + _CELL / 2, r * _CELL + 9
            parts.append(f'<text x="{x:g}" y="{y:g}" class="cell{light}">{shown}</text>')
    parts += _axes(names) if n <= _NAMED else []
    return "".join(parts) + "</svg>"


def _name_margin(names: Sequence[str]) -> int:
    """Return the room beside the matrix that its longest name takes."""
    if len(names) > _NAMED:
        return 6
    return 8 + 5 * max((min(len(one_line(name)), _NAME_LIMIT) for name in names), default=0)


def _axes(names: Sequence[str]) -> list[str]:
    """Return the names of classes, true ones to the left, predicted ones above."""
    parts = []
    for i, name in enumerate(names):
        text = escape(shorten(name, _NAME_LIMIT))
        at = i * _CELL + 9
        parts.append(f'<text x="-4" y="{at}" text-anchor="end" class="name">{text}</text>')
        parts.append(
            f'<text x="4" transform="translate({at} 0) rotate(-90)" class="name">{text}</text>'
        )
    return parts


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _text(x: float, y: float, text: str, anchor: str, kind: str = "tick") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>'
    )
