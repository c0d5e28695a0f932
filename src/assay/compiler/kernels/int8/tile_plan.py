"""How a product of matrix tiles is cut up, and when it is faster than one of vectors."""

from __future__ import annotations

from dataclasses import dataclass

from assay.compiler.kernels.builder import Expr, minimum
from assay.compiler.kernels.int8.matrix_tiles import (
    SUM_TILES,
    TILE_COLUMNS,
    TILE_ROWS,
)
from assay.compiler.kernels.int8.panels import join_panels
from assay.compiler.kernels.int8.plan import Cut, Grid, Plan
from assay.compiler.kernels.int8.tile_depth import TAPS, TileDepth
from assay.compiler.kernels.panels import PanelRun
from assay.compiler.kernels.splits import split_evenly
from assay.compiler.target import Isa

# Measured on Sapphire Rapids.
LEAST_ROWS_TIMED = 9  # cycles of a multiplication: as many as rows, but no fewer than this
MOVE_CYCLES = 26  # to move a tile of sums to vectors
SETUP_CYCLES = 170  # to set the tiles' shapes
RATE = 16  # products a lane and cycle, with what is done to sums


@dataclass(frozen=True)
class TilePlan(Plan):
    """A plan whose tiles have all the same rows: the last of a line may overlap the one before."""

    @property
    def tile_rows(self) -> int:
        """Pixels of each tile."""
        return -(-self.grid.pixels // self.tiles.tiles)

    def first_pixel(self, tile: Expr) -> Expr:
        """Return where a tile starts in its line."""
        return minimum(tile * self.tile_rows, self.grid.pixels - self.tile_rows)

    def end_pixel(self, tile: Expr) -> Expr:
        """Return where the tiles before one end."""
        return minimum(tile * self.tile_rows, self.grid.pixels)


def tile_runs(columns: int) -> tuple[PanelRun, ...]:
    """Return panels of up to four vectors of 16 columns; the last vector may overlap another."""
    starts = [*range(0, columns - TILE_COLUMNS, TILE_COLUMNS), columns - TILE_COLUMNS]
    vectors = [(start, TILE_COLUMNS) for start in starts]
    return join_panels([vectors[i : i + SUM_TILES] for i in range(0, len(vectors), SUM_TILES)])


def tile_cut(grid: Grid) -> Cut:
    """Return the tiles of a line and the panels of a group."""
    tiles, runs = split_evenly(grid.pixels, TILE_ROWS), tile_runs(grid.columns)
    return Cut(tiles, runs, RATE, TAPS, few_parts=True)


def pays(isa: Isa, grid: Grid, depth: TileDepth) -> bool:
    """Tell whether tiles are faster than multiply-adds of vectors, two of which start a cycle."""
    if not isa.tiles or grid.columns < TILE_COLUMNS:
        return False
    per_line = split_evenly(grid.pixels, TILE_ROWS).tiles
    rows = -(-grid.pixels // per_line)
    tiles = grid.batch * grid.lines * per_line * grid.groups * -(-grid.columns // TILE_COLUMNS)
    one = depth.blocks * max(rows, LEAST_ROWS_TIMED) + MOVE_CYCLES
    vectors = grid.rows * grid.groups * -(-grid.columns // TILE_COLUMNS)
    return SETUP_CYCLES + tiles * one < vectors * depth.depth.total / (2 * TAPS)
