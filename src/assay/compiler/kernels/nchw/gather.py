"""Vectors of elements whose places are known when the code is generated."""

from __future__ import annotations

from collections.abc import Sequence

from tvm import tirx

from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, constant
from assay.compiler.kernels.splits import floor_power_of_two


def gather(
    b: KernelBuilder,
    source: Buffer,
    base: Expr,
    places: Sequence[int | None],
    fill: float = 0.0,
    dtype: str = "float32",
) -> Expr:
    """Return one vector of the elements at ``base + place``, and of ``fill`` where that is None.

    Only elements between the first and the last place are read: loads side by side, and a shuffle
    that picks the lanes. Neighbours in order are a plain load.
    """
    lanes = len(places)
    present = [place for place in places if place is not None]
    if not present:
        return constant(fill, lanes, dtype)
    first, last = min(present), max(present)
    if lanes == 1:
        return b.load(source, base + first)
    if list(places) == list(range(first, first + lanes)):
        return b.load(source, base + first, lanes)
    width = min(lanes, floor_power_of_two(last - first + 1))
    starts = [*range(first, last - width + 1, width), last - width + 1]
    vectors = [b.let(b.load(source, base + start, width)) for start in starts]
    chosen = [_lane(place, starts, width) for place in places]
    if len(present) < lanes or width * len(vectors) < lanes:
        # A shuffle has no more lanes than its vectors together, hence as many as it takes.
        count = max(1, -(-(lanes - width * len(vectors)) // width))
        vectors += [constant(fill, width, dtype)] * count
    return tirx.Shuffle(vectors, [tirx.IntImm("int32", lane) for lane in chosen])


def _lane(place: int | None, starts: Sequence[int], width: int) -> int:
    """Return where a place is in the concatenation of the loads; behind them all if nowhere."""
    if place is None:
        return len(starts) * width
    index = next(i for i, start in enumerate(starts) if start <= place < start + width)
    return index * width + place - starts[index]
