"""The register tile of products whose vectors run along the pixels of an image.

As in :mod:`kernels.tiles` the estimated cycles decide, here also on what becomes of the pixels left
over: a vector, or single pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from assay.compiler.kernels.nchw.pixel_panels import PixelRun, split_pixels
from assay.compiler.kernels.splits import column_vectors, split_evenly
from assay.compiler.kernels.tiles import (
    ISSUE,
    LATENCY,
    MOST_SUMS,
    MOST_VECTORS,
    NEAR_TIE,
    PIPES,
    TILE_OVERHEAD,
    registers_needed,
)
from assay.compiler.target import Isa

# Measured on Cascade Lake: panels of four vectors took longer than those of three.
_L2_BYTES_PER_CYCLE = 16  # in pieces of a few lines, each in another plane


@dataclass(frozen=True)
class PixelTile:
    """At most ``rows`` channels by ``vectors`` vectors, and single pixels if ``singles``."""

    rows: int
    vectors: int
    singles: bool

    def runs(self, isa: Isa, pixels: int) -> tuple[PixelRun, ...]:
        """Return the panels that this tile cuts an image into."""
        return split_pixels(pixels, isa.lanes(), self.vectors, self.singles)


def exceeds_near_cache(isa: Isa, depth: int, pixels: int) -> bool:
    """Tell whether a panel leaves less than half of the nearest cache for all else."""
    return 4 * depth * pixels > isa.l1_bytes // 2


@lru_cache(maxsize=4096)
def choose_pixel_tile(
    isa: Isa, channels: int, pixels: int, depth: int, rows: int | None = None
) -> PixelTile:
    """Choose the tile for ``channels`` by ``pixels`` sums over ``depth`` inputs.

    With ``rows`` it has that many.
    """
    costs = {
        tile: cycles
        for tile, cycles in _costs(isa, channels, pixels, depth)
        if rows in (None, tile.rows)
    }
    bound = NEAR_TIE * min(costs.values())
    near = [tile for tile, cycles in costs.items() if cycles <= bound]
    return min(near, key=lambda tile: (tile.rows + tile.vectors) / (tile.rows * tile.vectors))


def _costs(isa: Isa, channels: int, pixels: int, depth: int) -> Iterator[tuple[PixelTile, float]]:
    for singles in (False, True):
        for vectors in range(1, MOST_VECTORS + 1):
            runs = split_pixels(pixels, isa.lanes(), vectors, singles)
            if vectors > max(len(run.vectors) for run in runs):
                break
            for rows in range(1, channels + 1):
                if not _fits(isa, rows, runs):
                    break
                parts = split_evenly(channels, rows).parts()
                cycles = sum(
                    count * run.count * _tile_cycles(isa, run, size, depth)
                    for _, count, size in parts
                    for run in runs
                )
                yield PixelTile(rows, vectors, singles), cycles


def _fits(isa: Isa, rows: int, runs: tuple[PixelRun, ...]) -> bool:
    vectors, singles = max(len(run.vectors) for run in runs), max(run.singles for run in runs)
    if vectors > 1 and rows * vectors > MOST_SUMS * isa.registers:
        return False
    alone = singles * len(column_vectors(rows, isa.lanes())) + (singles > 0)
    return registers_needed(isa, rows, vectors) + alone <= isa.registers


def _tile_cycles(isa: Isa, run: PixelRun, rows: int, depth: int) -> float:
    vectors, pieces = len(run.vectors), len(column_vectors(rows, isa.lanes()))
    products = rows * vectors + run.singles * pieces
    far = exceeds_near_cache(isa, depth, run.pixels)
    loads = vectors * (1 + far) + rows + (run.singles + pieces if run.singles else 0)
    instructions = (products if isa.fma else 3 * products + rows) + loads
    step = max(products / PIPES, loads / PIPES, LATENCY, instructions / ISSUE)
    if far:
        step = max(step, 4 * run.pixels / _L2_BYTES_PER_CYCLE)
    return depth * step + 2 * products + 2 * run.singles * rows + TILE_OVERHEAD
