"""Plots of several experiments side by side, drawn from the numbers that the results hold.

Each returns False, and writes nothing, when no experiment has what it draws, and raises
ResultsError when the file cannot be written.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from typing import Any

from assay.lab.results import ExperimentResult, Quality, Results, Timing
from assay.lab.versus import Evidence
from assay.report.confusion import confusion_matrix_png, difference_matrix_png
from assay.report.figure import GREY, Look, figure, looks, shorten
from assay.report.labels import place
from assay.report.text import mebibytes, milliseconds

__all__ = [
    "accuracy_vs_latency_png",
    "confusion_matrix_png",
    "difference_matrix_png",
    "latency_png",
    "sizes_png",
]

_NAME_LIMIT = 40
_LOG_FROM = 8
"""Ratio of the slowest to the fastest from which a latency axis is logarithmic."""


def latency_png(results: Results, path: str | os.PathLike[str]) -> bool:
    """Draw the latency of each timed experiment, with its interval if all were timed in turns.

    Otherwise with a bar from p10 to p90.
    """
    timed = _timed(results)
    if not timed:
        return False
    styles = looks(e.runtime for e, *_ in timed)
    with figure(path, 8, 1.4 + 0.3 * len(timed)) as drawing:
        axes = drawing.subplots()
        _scale_latency(axes, [ms for _, ms, *_ in timed])
        for row, (experiment, ms, low, high) in enumerate(timed):
            colour, marker = styles[experiment.runtime]
            axes.axhline(row, color="0.9", lw=1, zorder=0)
            axes.plot([low, high], [row, row], color=colour, lw=5, alpha=0.35)
            axes.plot(ms, row, marker, color=colour, ms=6)
            axes.annotate(
                milliseconds(ms),
                (max(ms, high), row),
                (6, 0),
                textcoords="offset points",
                va="center",
                size=8,
            )
        _name_rows(axes, [e.name for e, *_ in timed])
        axes.margins(x=0.18)
        if axes.get_xscale() == "linear":
            axes.set_xlim(left=0)
        bar = "95 % interval" if results.turns else "bar from 10th to 90th percentile"
        axes.set_xlabel(f"latency of one inference [ms]: median; {bar}")
        _list_looks(drawing, styles, "outside upper center")
    return True


def sizes_png(results: Results, path: str | os.PathLike[str]) -> bool:
    """Draw the sizes of the model file and of what it was compiled to, side by side."""
    sized = [
        e for e in results.experiments if e.model_bytes is not None or e.artifact_bytes is not None
    ]
    if not sized:
        return False
    colours = {"model file": GREY, "compiled library": looks([""])[""].colour}
    largest = max(max(e.model_bytes or 0, e.artifact_bytes or 0) for e in sized)
    with figure(path, 8, 1.4 + 0.4 * len(sized)) as drawing:
        axes = drawing.subplots()
        for row, experiment in enumerate(sized):
            sizes = (experiment.model_bytes, experiment.artifact_bytes)
            offsets = (0, 0) if None in sizes else (-0.2, 0.2)
            for offset, size, colour in zip(offsets, sizes, colours.values(), strict=True):
                if size is not None:
                    axes.barh(row + offset, size / 2**20, 0.38, color=colour)
                    end = (size + 0.01 * largest) / 2**20
                    axes.text(end, row + offset, mebibytes(size), va="center", size=7.5)
        _name_rows(axes, [e.name for e in sized])
        axes.set_xlim(0, 1.17 * largest / 2**20 or 1)
        axes.set_xlabel("size [MiB]")
        _name_colours(drawing, colours)
    return True


def accuracy_vs_latency_png(results: Results, path: str | os.PathLike[str]) -> bool:
    """Draw top-1 accuracy over median latency, and the Pareto front: nothing is better in both.

    A marker's area is the size of the file that was run.
    """
    both = [
        (e, ms, 100 * e.quality.accuracy)
        for e, ms, *_ in _timed(results)
        if e.quality and _is_finite(e.quality)
    ]
    if not both:
        return False
    points = [(latency, accuracy) for _, latency, accuracy in both]
    styles = looks(e.runtime for e, _, _ in both)
    with figure(path, 9, max(4.5, 1 + 0.2 * len(both))) as drawing:
        axes = drawing.subplots()
        front = pareto(points)
        largest = max(e.loaded_bytes or 0 for e, *_ in both)
        axes.plot(*zip(*front, strict=True), drawstyle="steps-post", color=GREY, ls="--", zorder=1)
        for (experiment, *_), point in zip(both, points, strict=True):
            colour, marker = styles[experiment.runtime]
            size = _marker_points(experiment, largest)
            axes.plot(*point, marker, color=colour, ms=size, mec="white", mew=0.7)
        _scale_latency(axes, [latency for latency, _ in points])
        axes.margins(0.08, 0.15)
        axes.set_xlabel("median latency of one inference [ms]")
        axes.set_ylabel("top-1 accuracy [%]")
        axes.grid()
        numbered = {f"{i} {e.name}": styles[e.runtime] for i, (e, *_) in enumerate(both, 1)}
        _list_looks(drawing, numbered, "outside right upper", front=len(front) > 1)
        _number(drawing, axes, points)
    return True


def pareto(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the (latency, accuracy) points that no other beats, from fastest to slowest."""
    front: list[tuple[float, float]] = []
    for latency, accuracy in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or accuracy > front[-1][1]:
            front.append((latency, accuracy))
    return front


def _timed(results: Results) -> list[tuple[ExperimentResult, float, float, float]]:
    """Return timed experiments with median and the ends of their bars, in ms."""
    if results.turns is not None:
        latencies = Evidence(results).latencies
        found = [(e, latencies[e.name]) for e in results.experiments if e.name in latencies]
        return [(e, each.ms, each.low_ms, each.high_ms) for e, each in found]
    return [
        (e, e.timing.median_ms, e.timing.p10_ms, e.timing.p90_ms)
        for e in results.experiments
        if e.timing and _is_finite(e.timing)
    ]


def _marker_points(experiment: ExperimentResult, largest: int) -> float:
    """Return a marker's width in points: its area grows with the size of the file."""
    share = (experiment.loaded_bytes or 0) / largest if largest else 0.0
    return 6 + 8 * math.sqrt(share)


def _is_finite(what: Timing | Quality | None) -> bool:
    match what:
        case Timing():
            return all(map(math.isfinite, (what.median_ms, what.p10_ms, what.p90_ms)))
        case Quality():
            return math.isfinite(what.accuracy)
        case None:
            return False


def _name_rows(axes: Any, names: Sequence[str]) -> None:
    """Name the rows of a bar chart, first at the top."""
    axes.set_yticks(range(len(names)), [shorten(name, _NAME_LIMIT) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")


def _name_colours(drawing: Any, colours: dict[str, str]) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=colour, label=label) for label, colour in colours.items()]
    drawing.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False)


def _list_looks(drawing: Any, looks: dict[str, Look], loc: str, front: bool = False) -> None:
    """Add a legend of markers outside of the axes, and of the Pareto front if asked to."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour, marker=marker, ls="", label=shorten(label, _NAME_LIMIT))
        for label, (colour, marker) in looks.items()
    ]
    if front:
        handles.append(Line2D([], [], color=GREY, ls="--", label="Pareto front"))
    columns = 1 if "right" in loc else min(len(handles), 5)
    drawing.legend(handles=handles, loc=loc, ncols=columns, frameon=False, fontsize=8)


def _scale_latency(axes: Any, latencies: Sequence[float]) -> None:
    """Make the latency axis logarithmic if the slowest would push all others together."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    if 0 < min(latencies) < max(latencies) / _LOG_FROM:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())


def _number(drawing: Any, axes: Any, points: Sequence[tuple[float, float]]) -> None:
    """Write each point's number beside it, from 1, where it covers nothing."""
    drawing.draw_without_rendering()  # the layout, so that points have their place on the canvas
    points_per_pixel = 72 / drawing.dpi
    leader = {"arrowstyle": "-", "lw": 0.5, "shrinkA": 5, "shrinkB": 4}
    canvas = [tuple(xy * points_per_pixel) for xy in axes.transData.transform(points)]
    for number, (point, offset) in enumerate(
        zip(points, place(canvas, marker=8, width=11, height=9), strict=True), 1
    ):
        axes.annotate(
            str(number),
            point,
            offset,
            textcoords="offset points",
            ha="center",
            va="center",
            size=8,
            arrowprops=leader if math.hypot(*offset) > 14 else None,
        )
