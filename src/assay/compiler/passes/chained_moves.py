"""Chains of reshapes and transposes as one transpose between two reshapes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

Step = tuple[Literal["reshape", "permute"], tuple[int, ...]]
"""A reshape to a shape, or a transpose with the axes of the source in their new order."""


@dataclass(frozen=True)
class ChainedMove:
    """Reshape to ``parts``, transpose by ``order``, reshape to ``shape``.

    Either reshape may be to the shape that there is already.
    """

    parts: tuple[int, ...]
    order: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def transposes(self) -> bool:
        """Whether elements change their places."""
        kept = [axis for axis in self.order if self.parts[axis] != 1]
        return kept != sorted(kept)


@dataclass(eq=False)
class _Part:
    """Neighbouring elements of a source's axis that stay neighbours."""

    size: int


def chained(shape: Sequence[int], steps: Iterable[Step]) -> ChainedMove | None:
    """Return what steps do to a tensor of that shape, as one move.

    None if a reshape cuts an axis where no part of the source begins, as one of [6] to [4, 3] does
    when a transpose of [2, 3] to [3, 2] went before.
    """
    source = [_Part(size) for size in shape if size != 1]
    moved = list(source)
    for kind, numbers in steps:
        if kind == "reshape":
            shape = numbers
            continue
        groups = _groups(source, moved, shape)
        if groups is None:
            return None
        moved = [part for axis in numbers for part in groups[axis]]
        shape = tuple(shape[axis] for axis in numbers)
    runs = _runs(source, moved)
    order = [runs.index(run) for run in _runs(moved, source)]
    return _with_ones([prod(part.size for part in run) for run in runs], order, tuple(shape))


def _with_ones(parts: list[int], order: list[int], shape: tuple[int, ...]) -> ChainedMove:
    """Add axes of size 1 to parts that are the result's axes but for such: no reshape follows."""
    if [parts[axis] for axis in order] == [size for size in shape if size != 1]:
        for place in (place for place, size in enumerate(shape) if size == 1):
            parts.insert(place, 1)
            order = [axis + (axis >= place) for axis in order]
            order.insert(place, place)
    return ChainedMove(tuple(parts), tuple(order), shape)


def _groups(
    source: list[_Part], moved: list[_Part], shape: Sequence[int]
) -> list[list[_Part]] | None:
    """Return the parts of each axis; parts that span several are cut, in both lists."""
    groups = []
    at = 0
    for size in shape:
        group: list[_Part] = []
        while size > 1:
            part = moved[at]
            if part.size % size and size % part.size:
                return None
            if part.size > size:
                rest = _Part(part.size // size)
                part.size = size
                for parts in (source, moved):
                    parts.insert(parts.index(part) + 1, rest)
            group.append(part)
            size //= part.size
            at += 1
        groups.append(group)
    return groups


def _runs(parts: list[_Part], others: list[_Part]) -> list[list[_Part]]:
    """Join parts that are neighbours, in that order, in both lists."""
    runs: list[list[_Part]] = []
    for part in parts:
        if runs and others.index(part) == others.index(runs[-1][-1]) + 1:
            runs[-1].append(part)
        else:
            runs.append([part])
    return runs
