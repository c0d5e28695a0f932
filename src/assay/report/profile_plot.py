"""The picture of a profile: a bar for each kernel, in the order of the calls."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assay.timing.profile import Profile

_ROW_INCHES, _WIDTH_INCHES = 0.22, 9.0


def profile_svg(profile: Profile) -> str:
    """Draw the times of a profile's kernels and the time outside of them as an SVG text."""
    from matplotlib.figure import Figure

    titles = [_title(index, profile) for index in range(len(profile.kernels))]
    times = [kernel.median_ms * 1e3 for kernel in profile.kernels]
    titles.append("(outside of kernels)")
    times.append(profile.gap_ms * 1e3)
    figure = Figure(figsize=(_WIDTH_INCHES, 1.2 + _ROW_INCHES * len(times)), layout="constrained")
    axes = figure.subplots()
    axes.barh(range(len(times)), times)
    axes.set_yticks(range(len(times)), titles, fontsize=7)
    axes.set_ylim(len(times) - 0.5, -0.5)
    axes.set_xlabel("us, median")
    axes.set_title(
        f"{profile.model} on {profile.runtime}, {profile.threads} thread(s): "
        f"{profile.total_ms * 1e3:,.0f} us"
    )
    axes.grid(axis="x", alpha=0.3)
    text = StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def _title(index: int, profile: Profile) -> str:
    call = profile.kernels[index].call
    shape = "x".join(map(str, call.output_shapes[0])) if call.output_shapes else ""
    return f"{index} {call.title[:40]} {shape}"
