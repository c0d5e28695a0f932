"""Slices of TFLite as NumPy indices, for values and for shapes alike. No TVM here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import EllipsisType
from typing import Any

import numpy.typing as npt

Item = int | slice | EllipsisType | None


def box(begin: Sequence[int], size: Sequence[int]) -> tuple[slice, ...]:
    """Return the index of SLICE; a size of -1 goes to the end."""
    return tuple(
        slice(int(b), None if s == -1 else int(b) + int(s))
        for b, s in zip(begin, size, strict=True)
    )


def strides_index(
    attributes: Mapping[str, Any],
    begin: npt.NDArray[Any],
    end: npt.NDArray[Any],
    strides: npt.NDArray[Any],
) -> tuple[Item, ...]:
    """Return the index of STRIDED_SLICE, whose masks are bits by position.

    ``begin_mask`` and ``end_mask`` leave that end open; ``ellipsis_mask`` stands for all dimensions
    that no other position takes, ``new_axis_mask`` adds one of size 1, and ``shrink_axis_mask``
    takes a single index. Bounds count and are clamped as NumPy does it.
    """

    def has(mask: str, position: int) -> bool:
        return bool(attributes.get(f"{mask}_mask", 0) >> position & 1)

    index: list[Item] = []
    for position, (first, last, step) in enumerate(zip(begin, end, strides, strict=True)):
        if has("ellipsis", position):
            index.append(...)
        elif has("new_axis", position):
            index.append(None)
        elif has("shrink_axis", position):
            index.append(int(first))
        else:
            start = None if has("begin", position) else int(first)
            stop = None if has("end", position) else int(last)
            index.append(slice(start, stop, int(step)))
    return tuple(index)


def dimensions(index: Sequence[Item], shape: Sequence[int]) -> list[tuple[int, int, int]]:
    """Return (begin, end, step) for each dimension of ``shape`` under a NumPy index.

    Bounds are clamped, and a negative step ends at -1 where it takes element 0 as well. An
    integer becomes the slice that holds just that element. IndexError if it lies outside.
    """
    taken = sum(item is not None and item is not ... for item in index)
    ranges: list[tuple[int, int, int]] = []
    for item in (*index, ...) if ... not in index else index:
        if item is ...:
            rest = range(len(ranges), len(ranges) + len(shape) - taken)
            ranges += [(0, shape[d], 1) for d in rest]
        elif isinstance(item, int):
            at = range(shape[len(ranges)])[item]
            ranges.append((at, at + 1, 1))
        elif isinstance(item, slice):
            ranges.append(item.indices(shape[len(ranges)]))
    return ranges
