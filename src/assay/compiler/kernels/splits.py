"""Ways to cut an extent into tiles whose sizes are all known when the code is generated."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EvenSplit:
    """``total`` cut into ``tiles`` of two sizes that differ by one, the larger ones first.

    A fixed tile size would leave a small remainder, and small register tiles are slow: 50 rows in
    tiles of 7 leave one row alone, while eight tiles of 7 or 6 are all nearly full.
    """

    total: int
    tiles: int

    @property
    def small(self) -> int:
        """Size of the later tiles."""
        return self.total // self.tiles

    @property
    def large_tiles(self) -> int:
        """How many tiles at the front hold ``small + 1``."""
        return self.total % self.tiles

    def parts(self) -> tuple[tuple[int, int, int], ...]:
        """Return runs of equal tiles as (start, number of tiles, size)."""
        large = (0, self.large_tiles, self.small + 1)
        start = self.large_tiles * (self.small + 1)
        rest = (start, self.tiles - self.large_tiles, self.small)
        return (large, rest) if self.large_tiles else (rest,)


def split_evenly(total: int, most: int) -> EvenSplit:
    """Cut ``total`` into the fewest tiles that hold no more than ``most``."""
    return EvenSplit(total, max(1, -(-total // most)))


def floor_power_of_two(value: int) -> int:
    """Return the largest power of two that is not above ``value`` (at least 1)."""
    return 1 << (value.bit_length() - 1)


def ceil_power_of_two(value: int) -> int:
    """Return the smallest power of two that is not below ``value`` (at least 1)."""
    return 1 << (value - 1).bit_length()


def column_vectors(columns: int, lanes: int) -> tuple[tuple[int, int], ...]:
    """Cover ``columns`` with vectors of at most ``lanes``, as (first column, lanes).

    All but the last are full. The last is the narrowest power of two that reaches the end; it may
    start before the previous one ends: both then compute the same values for the shared columns.
    """
    full = min(lanes, floor_power_of_two(columns))
    vectors = [(start, full) for start in range(0, columns - full + 1, full)]
    rest = columns % full
    if rest:
        last = ceil_power_of_two(rest)
        vectors.append((columns - last, last))
    return tuple(vectors)


def disjoint_vectors(columns: int, lanes: int) -> tuple[tuple[int, int, int], ...]:
    """Cover ``columns`` with vectors that share none, as runs (first column, count, lanes).

    Widths are powers of two from ``lanes`` down; for sums and updates in place, where
    :func:`column_vectors` would count columns twice.
    """
    runs = []
    start = 0
    while lanes:
        count = (columns - start) // lanes
        if count:
            runs.append((start, count, lanes))
            start += count * lanes
        lanes //= 2
    return tuple(runs)
