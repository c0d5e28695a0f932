"""The loops of an integer matrix product on matrix tiles."""

from __future__ import annotations

from dataclasses import dataclass

from assay.compiler.kernels.builder import Buffer, Expr, broadcast
from assay.compiler.kernels.int8.depth import LINE_BYTES
from assay.compiler.kernels.int8.matrix_tiles import (
    SUM_TILES,
    TILE_BYTES,
    TILE_COLUMNS,
    TILE_ROWS,
    TileKernelBuilder,
)
from assay.compiler.kernels.int8.panels import store_groups
from assay.compiler.kernels.int8.product_writer import Inputs, Panel, ProductWriter
from assay.compiler.kernels.int8.tile_depth import TAPS, TileDepth
from assay.compiler.kernels.int8.tile_plan import TilePlan

_TILE = TILE_ROWS * TILE_COLUMNS


@dataclass(frozen=True)
class _Turn:
    """A tile of a line of a part: its number in the line, in the part, and how many that has."""

    line: Expr
    tile: Expr
    number: Expr
    turns: int


@dataclass(frozen=True)
class TileWriter(ProductWriter):
    """Writes the loops of one product into a kernel: sums are in tiles, and pass through memory."""

    b: TileKernelBuilder
    plan: TilePlan
    depth: TileDepth

    @property
    def _depth_bytes(self) -> int:
        return self.depth.steps * TAPS

    def _begin(self) -> Buffer | None:
        self.b.configure_tiles(self.plan.tile_rows, self.depth.block)
        return self.b.workspace("sums", SUM_TILES * _TILE, "int32")

    def _end(self) -> None:
        self.b.release_tiles()

    def _tiles(self, inputs: Inputs, panel: Panel, sums: Buffer | None) -> None:
        b, plan = self.b, self.plan
        if plan.splits_lines:
            with b.serial(inputs.tiles) as count:
                index = b.let(inputs.first_tile + count)
                self._one(inputs, panel, _Turn(0, index, count, plan.part_tiles), sums)
            return
        tiles = plan.tiles.tiles
        with b.serial(inputs.part.lines) as line, b.serial(tiles) as index:
            turn = _Turn(line, index, line * tiles + index, plan.part_lines * tiles)
            self._one(inputs, panel, turn, sums)

    def _one(self, inputs: Inputs, panel: Panel, turn: _Turn, sums: Buffer) -> None:
        b, run, constants = self.b, panel.run, self.constants
        pixel = b.let(self.plan.first_pixel(turn.tile) - inputs.part.pixel)
        place = self._place(inputs.part, panel, turn.line, pixel)
        if self.output.addend is not None:
            with b.serial(self.plan.tile_rows) as row:
                moved = place.moved(row * self._to.pixel_step, 0)
                self.output.fetch_addend(moved, run.packed_columns)
        first = b.let(panel.packed + constants.first_column)
        for tile in range(len(run.vectors)):
            b.load_sums(tile, constants.bias, first + tile * TILE_COLUMNS)
        self._multiply(inputs, panel, turn, pixel)
        for tile in range(len(run.vectors)):
            b.store_sums(tile, sums, tile * _TILE)
        factors = {group: self._factors(first, group) for group in store_groups(run)}
        correction = self._correction(inputs.part, panel.group, turn.line, pixel)
        with b.serial(self.plan.tile_rows) as row:
            moved = place.moved(row * self._to.pixel_step, 0)
            added = None
            if inputs.corrections is not None:
                value = b.load(inputs.corrections, correction + row)
                added = b.let(broadcast(value, TILE_COLUMNS))
            for group, multipliers in factors.items():
                vectors = [
                    b.load(sums, tile * _TILE + row * TILE_COLUMNS, TILE_COLUMNS)
                    for tile in range(group.first, group.first + group.count)
                ]
                totals = [b.let(vector if added is None else vector + added) for vector in vectors]
                target = moved.moved(0, group.column)
                columns = self.product.grid.columns
                self.output.write(totals, multipliers, TILE_COLUMNS, target, columns)

    def _multiply(self, inputs: Inputs, panel: Panel, turn: _Turn, pixel: Expr) -> None:
        b, view = self.b, self.product.view
        start = inputs.start + turn.line * view.line_step + pixel * view.pixel_step
        start = b.let(start + panel.group * self._group_step)
        weights, tiles = self._packed_panel(panel), len(panel.run.vectors)
        size = self.depth.block * TILE_COLUMNS
        with b.serial(self.depth.blocks) as block:
            if weights.ahead is not None:
                lines = -(-self.depth.blocks * tiles * size // LINE_BYTES)
                share = -(-lines // (turn.turns * self.depth.blocks))
                number = turn.number * self.depth.blocks + block
                ahead = b.let(weights.start + weights.ahead + number * (share * LINE_BYTES))
                for line in range(share):
                    b.prefetch(weights.weights, ahead + line * LINE_BYTES, second=True)
            left = start + self.depth.start(b, block)
            b.load_left(inputs.buffer, b.let(left), view.pixel_step)
            right = b.let(weights.start + block * (tiles * size))
            for tile in range(tiles):
                b.add_product(tile, weights.weights, right + tile * size, TILE_BYTES)
