"""Writes the products that :mod:`nchw.pointwise` plans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvm import tirx

from assay.compiler.kernels.builder import (
    Buffer,
    Expr,
    KernelBuilder,
    RegisterTile,
    broadcast,
)
from assay.compiler.kernels.epilogue_writer import LINE_FLOATS
from assay.compiler.kernels.microkernel import add_products
from assay.compiler.kernels.nchw.epilogue_writer import PlaneEpilogueWriter
from assay.compiler.kernels.nchw.pixel_blocks import Block, BlockReader, Panel
from assay.compiler.kernels.splits import column_vectors

if TYPE_CHECKING:
    from assay.compiler.kernels.nchw.pointwise import Plan

_STEPS_AHEAD = 6  # of depth: some 70 cycles, several times what the second-level cache takes


@dataclass(frozen=True)
class _Tile:
    """``rows`` output channels from ``row`` of the group, ``channel`` of the image, on."""

    row: Expr
    rows: int
    channel: Expr
    weights: Expr


def scaled_weights(
    b: KernelBuilder, plan: Plan, lanes: int, weights: Buffer, gate: Buffer
) -> Buffer:
    """Return the weights times the gate of each batch item, in one array after the other."""
    p, depth = plan.p, plan.depth
    size = depth * p.out_c
    scaled = b.workspace("scaled", p.batch * size)
    with b.serial(p.batch) as batch, b.serial(p.groups) as group:
        for start, count, rows in plan.tiles.parts():
            first = (group * plan.channels + start) * depth
            with b.serial(count) as index, b.serial(depth) as k:
                line = (batch * p.groups + group) * plan.inputs + k // p.kernel_h
                factor = b.let(b.load(gate, line))
                row = b.let(first + (index * depth + k) * rows)
                for at, width in column_vectors(rows, lanes):
                    value = b.load(weights, row + at, width) * broadcast(factor, width)
                    b.store(scaled, batch * size + row + at, value, width)
    return scaled


@dataclass(frozen=True)
class PointwiseWriter:
    """Writes all outputs."""

    b: KernelBuilder
    lanes: int
    plan: Plan
    reader: BlockReader
    weights: Buffer
    gated: bool
    epilogue: PlaneEpilogueWriter
    output: Buffer

    def write(self) -> None:
        """Deal out blocks of panels, or the tiles of channels that pass by each.

        Every thread copies all panels in the latter case: what threads wrote is not shared.
        """
        b, plan = self.b, self.plan
        loop = b.parallel if plan.sharing == "rows" else b.serial
        bands = plan.p.batch * plan.p.groups * plan.bands
        if plan.gathered:
            with loop(bands) as index:
                band = self.reader.band(index)
                with b.serial(plan.blocks) as number:
                    self._block(self.reader.block(band, number))
            return
        with loop(bands * plan.blocks) as index:
            band = self.reader.band(b.let(index // plan.blocks))
            self._block(self.reader.block(band, index % plan.blocks))

    def _block(self, block: Block) -> None:
        b, tiles = self.b, self.plan.tiles
        if self.plan.sharing == "panels":
            with b.parallel(tiles.tiles) as tile:
                self._any_tile(block, tile)
            return
        for start, count, size in tiles.parts():
            with b.serial(count) as tile:
                self._strip(block, b.let(start + tile * size), size)

    def _any_tile(self, block: Block, tile: Expr) -> None:
        b, tiles = self.b, self.plan.tiles
        large = tiles.large_tiles
        with b.when(tile < large if large else False):
            self._strip(block, b.let(tile * (tiles.small + 1)), tiles.small + 1)
        with b.when(tile >= large if large else True):
            self._strip(block, b.let(tile * tiles.small + large), tiles.small)

    def _strip(self, block: Block, row: Expr, rows: int) -> None:
        """Write ``rows`` output channels, from ``row`` of the group on, of a block's panels."""
        b, plan = self.b, self.plan
        channel = b.let(block.band.group * plan.channels + row)
        weights = channel * plan.depth
        if self.gated:
            weights = weights + block.band.batch * (plan.depth * plan.p.out_c)
        tile = _Tile(row, rows, channel, b.let(weights))
        for panel in self.reader.panels(block):
            self._tile(block, panel, tile)

    def _tile(self, block: Block, panel: Panel, tile: _Tile) -> None:
        b, run = self.b, panel.run
        if self.plan.fetch_outputs:
            self._fetch_outputs(block, panel, tile)
        pieces = column_vectors(tile.rows, self.lanes)
        sums = b.registers(tile.rows, run.widths)
        for i in range(tile.rows):
            for column, lanes in enumerate(run.widths):
                sums.put(i, column, self.epilogue.start(tile.channel + i, lanes))
        alone = b.registers(run.singles, tuple(lanes for _, lanes in pieces))
        if run.singles:
            starts = [(tile.channel + at, lanes) for at, lanes in pieces]
            alone.fill([self.epilogue.start_channels(*start) for start in starts])
        self._sum(block, panel, tile, sums, alone)
        place = (self.output, block.band.batch, tile.channel)
        self.epilogue.write_tile(sums, *place, b.let(block.band.pixel + panel.pixel), run.vectors)
        if run.singles:
            self._write_singles(block, panel, tile, alone)

    def _sum(
        self, block: Block, panel: Panel, tile: _Tile, sums: RegisterTile, alone: RegisterTile
    ) -> None:
        b, plan, run, rows = self.b, self.plan, panel.run, tile.rows
        steps, (step, single_step) = plan.steps, self.reader.step(block, run)
        next_pixels = self._next_pixels(panel, tile) if plan.fetch_pixels else []
        following = self._next_weights(panel, tile) if plan.fetch_weights else 0
        with b.serial(plan.depth // steps, carry=(sums, alone)) as turn:
            first = b.let(turn * steps)
            weight = b.let(tile.weights + first * rows)
            if plan.fetch_weights:
                for at in range(0, steps * rows, LINE_FLOATS):
                    b.prefetch(self.weights, weight + (following + at), second=True)
            places, single = self.reader.places(block, panel, first)
            for k in range(steps):
                vectors = [(place + k * step, lanes) for place, lanes in places]
                for at in next_pixels:
                    b.prefetch(block.pixels, places[0][0] + (k * step + at), second=True)
                if plan.fetch_ahead:
                    for at in range(0, run.pixels, LINE_FLOATS):
                        ahead = (k + _STEPS_AHEAD) * step + at
                        b.prefetch(block.pixels, places[0][0] + ahead)
                row = weight + k * rows
                scalars = [(i, row + i) for i in range(rows)]
                add_products(b, sums, (block.pixels, vectors), (self.weights, scalars))
                if run.singles:
                    pieces = [(row + at, lanes) for at, lanes in column_vectors(rows, self.lanes)]
                    scalars = [(i, single + (k * single_step + i)) for i in range(run.singles)]
                    add_products(b, alone, (self.weights, pieces), (block.pixels, scalars))

    def _next_weights(self, panel: Panel, tile: _Tile) -> Expr:
        """Return how far ahead to ask for weights: a tile, while the first panel passes by.

        Later it is nothing, for weights that are near: what is asked for twice takes time twice.
        """
        size = self.plan.depth * tile.rows
        if isinstance(panel.index, int):
            return size
        return self.b.let(tirx.Select(panel.index == 0, size, 0))

    def _next_pixels(self, panel: Panel, tile: _Tile) -> list[Expr]:
        """Return how far ahead to ask for pixels: tiles share out the lines of the next panel."""
        plan, run = self.plan, panel.run
        lines = -(-run.pixels // LINE_FLOATS) + (plan.p.in_h * plan.p.in_w % LINE_FLOATS > 0)
        share = -(-lines // plan.tiles.tiles)
        first = tile.row // tile.rows * share
        start = run.pixels + first * LINE_FLOATS
        if not isinstance(first, int) and share * plan.tiles.tiles > lines:
            start = tirx.Select(first < lines, start, 0)
        start = self.b.let(start)
        return [start + line * LINE_FLOATS for line in range(share)]

    def _fetch_outputs(self, block: Block, panel: Panel, tile: _Tile) -> None:
        """Ask for the lines that the panel's vectors are going to be written to."""
        last = panel.run.pixels - 1
        starts = list(range(0, last + 1, LINE_FLOATS))
        if self.plan.p.out_h * self.plan.p.out_w % LINE_FLOATS:  # ends may share another line
            starts.append(last)
        for i in range(tile.rows):
            for at in starts:
                place = (block.band.batch, tile.channel + i, block.band.pixel + panel.pixel + at)
                self.epilogue.prefetch(self.output, *place)

    def _write_singles(self, block: Block, panel: Panel, tile: _Tile, alone: RegisterTile) -> None:
        """Write the sums of single pixels, vectors of channels, to one plane after the other."""
        b, rows = self.b, tile.rows
        for i in range(panel.run.singles):
            copy = b.workspace("single", rows)
            for index, (at, lanes) in enumerate(column_vectors(rows, self.lanes)):
                b.store(copy, at, alone.get(i, index), lanes)
            column = b.registers(rows, (1,))
            for row in range(rows):
                column.put(row, 0, b.load(copy, row))
            place = (self.output, block.band.batch, tile.channel)
            pixel = b.let(block.band.pixel + panel.single + i)
            self.epilogue.write_tile(column, *place, pixel, [(0, 1)])
