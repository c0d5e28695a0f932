"""Pixel panels: how the pixels of an image are cut up for register tiles of vectors along them.

A register tile is a few output channels by a panel. Planes of 7 x 7 or 14 x 14 pixels are no
multiple of a vector. The pixels left over can be a vector that is nearly empty, with a sum for each
channel; or each of them is multiplied by a vector of weights, one per channel of the tile, and its
sums are a vector of channels. Such pixels are *left over* and dealt out among the panels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from assay.compiler.kernels.splits import column_vectors, floor_power_of_two, split_evenly


@dataclass(frozen=True)
class PixelRun:
    """``count`` panels of one shape, side by side, from pixel ``start`` and panel ``first`` on.

    ``vectors`` are (pixel relative to the panel's first, lanes). Each panel also has ``singles``
    pixels by themselves; the first panel has those from ``first_single`` on.
    """

    start: int
    count: int
    vectors: tuple[tuple[int, int], ...]
    first: int
    singles: int = 0
    first_single: int = 0

    @property
    def widths(self) -> tuple[int, ...]:
        """Lanes of each vector."""
        return tuple(lanes for _, lanes in self.vectors)

    @property
    def pixels(self) -> int:
        """Pixels from one panel to the next."""
        return sum(self.widths)


def split_pixels(pixels: int, lanes: int, most: int, singles: bool) -> tuple[PixelRun, ...]:
    """Cut ``pixels`` into panels of at most ``most`` vectors, as even as they come.

    With ``singles`` those that fill no vector are dealt out, the most to the last panels.
    """
    width = min(lanes, floor_power_of_two(pixels))
    rest = pixels % width if singles else 0
    vectors = column_vectors(pixels - rest, lanes)
    parts = split_evenly(len(vectors), most).parts()
    sizes = [size for _, count, size in parts for _ in range(count)]
    extra = len(sizes) - rest % len(sizes)
    alone = [rest // len(sizes) + (index >= extra) for index in range(len(sizes))]
    return tuple(_runs(vectors, sizes, alone, pixels - rest))


def _runs(
    vectors: tuple[tuple[int, int], ...], sizes: list[int], alone: list[int], single: int
) -> Iterator[PixelRun]:
    shapes, first = [], 0
    for size, singles in zip(sizes, alone, strict=True):
        chosen = vectors[first : first + size]
        start = chosen[0][0]
        shapes.append((tuple((at - start, lanes) for at, lanes in chosen), singles, start))
        first += size

    def shape_and_origin(entry: tuple[int, tuple[tuple[tuple[int, int], ...], int, int]]) -> Any:
        number, (shape, singles, start) = entry
        return shape, singles, start - number * sum(lanes for _, lanes in shape)

    for (shape, singles, _), same in groupby(enumerate(shapes), key=shape_and_origin):
        panels = list(same)
        number, (_, _, start) = panels[0]
        yield PixelRun(start, len(panels), shape, number, singles, single)
        single += singles * len(panels)
