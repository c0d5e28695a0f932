"""The confusion matrix as a picture, from two classes to a thousand."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from assay.lab.results import Quality
from assay.report.figure import figure, shorten

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_MAX_NAMED = 60
"""Above this many classes names would be too small to read: the axes count class indices."""
_POINTS_PER_INCH = 72


def confusion_matrix_png(
    quality: Quality,
    classes: Sequence[str],
    path: str | os.PathLike[str],
    title: str = "",
) -> None:
    """Draw the confusion matrix of ``quality``, true classes downwards, to a PNG at ``path``.

    The colour is a cell's share of its row; its scale is a square root, so that a single confusion
    in a hundred still shows. The rows of classes without samples are grey. Cells hold counts as
    long as they are large enough. Classes without a name are shown by index. ResultsError if the
    file cannot be written.
    """
    import numpy as np

    counts = np.asarray(quality.confusion_matrix, dtype=np.int64)
    inches = float(np.clip(len(counts) * (0.5 if len(counts) <= 12 else 0.25), 2.5, 11))
    with figure(path, inches + 2.6, inches + 1.8) as drawing:
        axes = drawing.subplots()
        _colour_cells(drawing, axes, counts)
        dark = _shares(counts) > 0.35
        _write_numbers(axes, counts, inches / len(counts) * _POINTS_PER_INCH, dark)
        empty = "; grey: no samples" if (counts.sum(axis=1) == 0).any() else ""
        _name_axes(axes, counts, classes, empty)
        if title:
            axes.set_title(shorten(title, 80))


def difference_matrix_png(
    difference: Sequence[Sequence[int]],
    classes: Sequence[str],
    path: str | os.PathLike[str],
    title: str = "",
) -> None:
    """Draw by how many samples each cell of a confusion matrix differs from the reference's.

    Blue cells have more samples than the reference, orange ones fewer; both hold their number as
    long as they are large enough. ResultsError if the file cannot be written.
    """
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap

    counts = np.asarray(difference, dtype=np.int64)
    inches = float(np.clip(len(counts) * (0.5 if len(counts) <= 12 else 0.25), 2.5, 11))
    most = max(int(np.abs(counts).max(initial=0)), 1)
    colours = LinearSegmentedColormap.from_list("difference", ["#D55E00", "white", "#0072B2"])
    with figure(path, inches + 2.6, inches + 1.8) as drawing:
        axes = drawing.subplots()
        cells = axes.imshow(counts, cmap=colours, vmin=-most, vmax=most, interpolation="nearest")
        bar = drawing.colorbar(cells, ax=axes, shrink=0.6, aspect=25)
        bar.set_label("samples more than the reference")
        bar.outline.set_visible(False)
        dark = np.abs(counts) > 0.6 * most
        _write_numbers(axes, counts, inches / len(counts) * _POINTS_PER_INCH, dark, "+d")
        _name_axes(axes, counts, classes, "")
        if title:
            axes.set_title(shorten(title, 80))


def _colour_cells(drawing: Any, axes: Any, counts: npt.NDArray[np.int64]) -> None:
    import numpy as np
    from matplotlib import colormaps
    from matplotlib.colors import PowerNorm
    from matplotlib.ticker import PercentFormatter

    totals = counts.sum(axis=1, keepdims=True)
    shares = np.ma.masked_where(np.broadcast_to(totals == 0, counts.shape), _shares(counts))
    cells = axes.imshow(
        shares,
        cmap=colormaps["Blues"].with_extremes(bad="0.88"),
        norm=PowerNorm(0.5, vmin=0, vmax=1),
        interpolation="nearest",
    )
    bar = drawing.colorbar(
        cells, ax=axes, shrink=0.6, aspect=25, format=PercentFormatter(1, decimals=0)
    )
    bar.set_ticks([0, 0.01, 0.05, 0.2, 0.5, 1])
    bar.minorticks_off()
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)


def _write_numbers(
    axes: Any, counts: npt.NDArray[np.int64], cell_points: float, dark: Any, form: str = "d"
) -> None:
    """Write each number that is not zero into its cell, in white where the cell is ``dark``."""
    import numpy as np

    digits = max(
        len(format(count, form)) for count in (counts.min(initial=0), counts.max(initial=0))
    )
    size = min(9.0, 0.85 * cell_points / (0.65 * digits))
    if size < 4 or len(counts) > _MAX_NAMED:
        return
    for row, column in np.argwhere(counts):
        axes.text(
            column,
            row,
            format(counts[row, column], form),
            ha="center",
            va="center",
            size=size,
            color="white" if dark[row, column] else "black",
        )


def _name_axes(axes: Any, counts: npt.NDArray[np.int64], classes: Sequence[str], note: str) -> None:
    axes.spines[:].set_visible(False)
    if len(counts) > _MAX_NAMED:
        axes.set_xlabel("predicted class (index)")
        axes.set_ylabel(f"true class (index{note})")
        return
    names = [shorten(classes[i], 28) if i < len(classes) else str(i) for i in range(len(counts))]
    size = 9 if len(names) <= 12 else 7.5
    slant = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    upright = {"rotation": 90}
    axes.set_xticks(range(len(names)), names, size=size, **(slant if len(names) <= 12 else upright))
    axes.set_yticks(range(len(names)), names, size=size)
    axes.tick_params(length=0)
    axes.set_xlabel("predicted class")
    axes.set_ylabel(f"true class{note}")


def _shares(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return each cell's part of its row's total; 0 in a row without samples."""
    shares: npt.NDArray[np.float64] = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    return shares
