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
    first = min(present)
    if lanes == 1:
        return b.load(source, base + first)
    if list(places) == list(range(first, first + lanes)):
        return b.load(source, base + first, lanes)
    starts, width = spanning(present, lanes)
    vectors = [b.let(b.load(source, base + start, width)) for start in starts]
    return picked(vectors, starts, width, places, fill, dtype)


def spanning(places: Sequence[int], lanes: int) -> tuple[list[int], int]:
    """Return where vectors start that together reach from the first place to the last.

    Also how wide they are: at most ``lanes``. Without places, there are no vectors.
    """
    if not places:
        return [], 1
    first, last = min(places), max(places)
    width = min(lanes, floor_power_of_two(last - first + 1))
    return [*range(first, last - width + 1, width), last - width + 1], width


def picked(
    vectors: Sequence[Expr],
    starts: Sequence[int],
    width: int,
    places: Sequence[int | None],
    fill: float = 0.0,
    dtype: str = "float32",
) -> Expr:
    """Return the elements at ``places``, ``fill`` where that is None, of vectors of what is there.

    The vectors are ``width`` elements wide, from the places ``starts`` on.
    """
    lanes = len(places)
    owners = _owners([place for place in places if place is not None], starts, width)
    used = sorted(set(owners.values()))
    if not used:
        return constant(fill, lanes, dtype)
    nowhere = len(used) * width
    chosen = [
        nowhere
        if place is None
        else used.index(owners[place]) * width + place - starts[owners[place]]
        for place in places
    ]
    if chosen == list(range(width)):
        return vectors[used[0]]
    found = [vectors[index] for index in used]
    if None in places or nowhere < lanes:
        # A shuffle has no more lanes than its vectors together, hence as many as it takes.
        count = max(1, -(-(lanes - nowhere) // width))
        found += [constant(fill, width, dtype)] * count
    return tirx.Shuffle(found, [tirx.IntImm("int32", lane) for lane in chosen])


def _owners(places: Sequence[int], starts: Sequence[int], width: int) -> dict[int, int]:
    """Return which of the vectors each place is taken from: all from one if one has them all."""

    def holding(wanted: Sequence[int]) -> list[int]:
        inside = [all(start <= place < start + width for place in wanted) for start in starts]
        return [index for index, holds in enumerate(inside) if holds]

    of_all = holding(places)
    return {place: (of_all or holding([place]))[0] for place in places}
