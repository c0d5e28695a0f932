"""What all plots share: a figure that becomes a PNG, and colours that colour-blind readers tell
apart. The same data always gives the same bytes (with the same matplotlib)."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any, NamedTuple

from assay.lab.store import write_atomically
from assay.report.text import one_line

# Okabe and Ito, "Color Universal Design", 2008; yellow is left out: too faint on white.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000")
KINDS = len(_COLOURS)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
GREY = "#999999"

_STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    # Names come from files: a dollar sign in one is no formula.
    "text.parse_math": False,
}


class Look(NamedTuple):
    """How one runtime is drawn; shape and colour both tell it from the others."""

    colour: str
    marker: str


def looks(runtimes: Iterable[str]) -> dict[str, Look]:
    """Give each runtime a look, in order of first appearance; no two of 56 are the same."""
    unique = dict.fromkeys(runtimes)
    return {
        runtime: Look(_COLOURS[i % len(_COLOURS)], _MARKERS[i % len(_MARKERS)])
        for i, runtime in enumerate(unique)
    }


def shorten(name: str, limit: int) -> str:
    """Cut a label in the middle to ``limit`` characters: names often differ at either end."""
    name = one_line(name)
    if len(name) <= limit:
        return name
    head = (limit - 1) // 2
    return f"{name[:head]}…{name[head + 1 - limit :]}"


@contextmanager
def figure(path: str | os.PathLike[str], width: float, height: float) -> Iterator[Any]:
    """Yield an empty matplotlib Figure, sized in inches, and write it to ``path`` as PNG.

    The reader's own matplotlib settings are left out and left alone; nothing goes through pyplot.
    ResultsError if the file cannot be written.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # shown as a box
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        drawing = Figure(figsize=(width, height), dpi=150, layout="constrained")
        FigureCanvasAgg(drawing)
        yield drawing
        png = BytesIO()
        drawing.savefig(png, format="png", metadata={"Software": None})
    write_atomically(path, _with_palette(png))


def _with_palette(png: BytesIO) -> bytes:
    """Return the picture with 256 colours: to the eye the same, at a third of the size."""
    from PIL import Image

    smaller = BytesIO()
    with Image.open(png) as picture:
        colours = picture.convert("RGB").quantize(dither=Image.Dither.NONE)
    colours.save(smaller, "png", optimize=True)
    return smaller.getvalue()
