"""Writes the products that :mod:`nchw.pointwise` plans."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvm import tirx

from assay.compiler.kernels.builder import (
    Buffer,
    Expr,
    KernelBuilder,
    RegisterTile,
    broadcast,
    minimum,
    within,
)
from assay.compiler.kernels.epilogue_writer import LINE_FLOATS
from assay.compiler.kernels.microkernel import add_products
from assay.compiler.kernels.nchw.epilogue_writer import PlaneEpilogueWriter
from assay.compiler.kernels.nchw.pixel_panels import PixelRun
from assay.compiler.kernels.splits import column_vectors

if TYPE_CHECKING:
    from assay.compiler.kernels.nchw.pointwise import Plan

_STEPS_AHEAD = 6  # of depth: some 70 cycles, several times what the second-level cache takes


@dataclass(frozen=True)
class _Block:
    """``count`` panels of a group of an image, from ``first`` on, and the buffer they are in."""

    batch: Expr
    group: Expr
    first: Expr
    count: Expr
    pixels: Buffer


@dataclass(frozen=True)
class _Panel:
    """A panel's shape, its number in the block, and its first pixel of either kind."""

    run: PixelRun
    index: Expr
    pixel: Expr
    single: Expr


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
    source: Buffer
    weights: Buffer
    gate: Buffer | None
    epilogue: PlaneEpilogueWriter
    output: Buffer

    def write(self) -> None:
        """Deal out blocks of panels, or the tiles of channels that pass by each.

        Every thread copies all panels in the latter case: what threads wrote is not shared.
        """
        b, plan, p = self.b, self.plan, self.plan.p
        tiles = plan.tiles
        loop = b.parallel if plan.sharing == "rows" else b.serial
        with loop(p.batch * p.groups * plan.blocks) as index:
            unit = b.let(index // plan.blocks)
            batch, group = b.let(unit // p.groups), b.let(unit % p.groups)
            block = self._block(batch, group, index % plan.blocks)
            if plan.sharing == "panels":
                with b.parallel(tiles.tiles) as tile:
                    self._any_tile(block, tile)
                return
            for start, count, size in tiles.parts():
                with b.serial(count) as tile:
                    self._strip(block, b.let(start + tile * size), size)

    def _any_tile(self, block: _Block, tile: Expr) -> None:
        b, tiles = self.b, self.plan.tiles
        large = tiles.large_tiles
        with b.when(tile < large if large else False):
            self._strip(block, b.let(tile * (tiles.small + 1)), tiles.small + 1)
        with b.when(tile >= large if large else True):
            self._strip(block, b.let(tile * tiles.small + large), tiles.small)

    def _block(self, batch: Expr, group: Expr, number: Expr) -> _Block:
        b, plan = self.b, self.plan
        first, count = b.let(number * plan.block), plan.block
        if plan.panels % plan.block:
            count = b.let(minimum(count, plan.panels - first))
        block = _Block(batch, group, first, count, self.source)
        return self._copied(block) if plan.copies else block

    def _panels(self, block: _Block) -> Iterator[_Panel]:
        b, runs = self.b, self.plan.runs
        with b.serial(block.count) as index:
            panel = b.let(block.first + index)
            for run in runs:
                inside = len(runs) == 1 or within(panel, run.first, run.first + run.count)
                with b.when(inside):
                    number = b.let(panel - run.first)
                    pixel = b.let(run.start + number * run.pixels)
                    single = b.let(run.first_single + number * run.singles)
                    yield _Panel(run, index, pixel, single)

    def _line(self, block: _Block, k: Expr) -> tuple[Expr, Expr]:
        """Return a step's input channel, and where the image has what the first output sees."""
        b, p = self.b, self.plan.p
        channel, tap = k, 0
        if p.kernel_h > 1:
            channel, tap = b.let(k // p.kernel_h), k % p.kernel_h
        channel = b.let((block.batch * p.groups + block.group) * self.plan.inputs + channel)
        return channel, b.let((channel * p.in_h + tap * p.dilation_h) * p.in_w)

    def _copied(self, block: _Block) -> _Block:
        """Copy a block's panels, each as [depth][pixel of the vectors], [depth][single pixel]."""
        b, plan = self.b, self.plan
        space = b.workspace("panels", plan.block * self._panel_size)
        for panel in self._panels(block):
            run = panel.run
            with b.serial(plan.depth) as k:
                channel, line = self._line(block, k)
                factor = None if self.gate is None else b.let(b.load(self.gate, channel))
                vectors, singles = self._places(panel, k)
                copies = [
                    (panel.pixel + at, place, lanes)
                    for (at, lanes), (place, _) in zip(run.vectors, vectors, strict=True)
                ]
                if run.singles:
                    copies += [
                        (panel.single + at, singles + at, lanes)
                        for at, lanes in column_vectors(run.singles, self.lanes)
                    ]
                for pixel, place, lanes in copies:
                    value = b.load(self.source, line + pixel, lanes)
                    if factor is not None:
                        value = value * broadcast(factor, lanes)
                    b.store(space, place, value, lanes)
        return _Block(block.batch, block.group, block.first, block.count, space)

    @property
    def _panel_size(self) -> int:
        """Elements from one copied panel to the next: whole cache lines."""
        widest = max(run.pixels + run.singles for run in self.plan.runs)
        return -(-self.plan.depth * widest // LINE_FLOATS) * LINE_FLOATS

    def _places(self, panel: _Panel, k: Expr) -> tuple[list[tuple[Expr, int]], Expr]:
        """Return where a copied panel has a step's vectors, and its single pixels."""
        b, run = self.b, panel.run
        start = b.let(panel.index * self._panel_size)
        first = b.let(start + k * run.pixels)
        vectors = [(first + sum(run.widths[:i]), lanes) for i, lanes in enumerate(run.widths)]
        return vectors, start + self.plan.depth * run.pixels + k * run.singles

    def _strip(self, block: _Block, row: Expr, rows: int) -> None:
        """Write ``rows`` output channels, from ``row`` of the group on, of a block's panels."""
        b, plan = self.b, self.plan
        channel = b.let(block.group * plan.channels + row)
        weights = channel * plan.depth
        if self.gate is not None and not plan.copies:
            weights = weights + block.batch * (plan.depth * plan.p.out_c)
        tile = _Tile(row, rows, channel, b.let(weights))
        for panel in self._panels(block):
            self._tile(block, panel, tile)

    def _tile(self, block: _Block, panel: _Panel, tile: _Tile) -> None:
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
        place = (self.output, block.batch, tile.channel)
        self.epilogue.write_tile(sums, *place, panel.pixel, run.vectors)
        if run.singles:
            self._write_singles(block, panel, tile, alone)

    def _sum(
        self, block: _Block, panel: _Panel, tile: _Tile, sums: RegisterTile, alone: RegisterTile
    ) -> None:
        b, plan, run, rows = self.b, self.plan, panel.run, tile.rows
        next_pixels = self._next_pixels(panel, tile) if plan.fetch_pixels else []
        following = self._next_weights(panel, tile) if plan.fetch_weights else 0
        with b.serial(plan.depth, carry=(sums, alone)) as k:
            weight = b.let(tile.weights + k * rows)
            if plan.fetch_weights:
                for at in range(0, rows, LINE_FLOATS):
                    b.prefetch(self.weights, weight + (following + at), second=True)
            if plan.copies:
                vectors, single = self._places(panel, k)
            else:
                _, line = self._line(block, k)
                first, single = b.let(line + panel.pixel), line + panel.single
                vectors = [(first + at, lanes) for at, lanes in run.vectors]
                for at in next_pixels:
                    b.prefetch(self.source, first + at, second=True)
            if plan.fetch_ahead:
                ahead = _STEPS_AHEAD * (run.pixels if plan.copies else plan.p.in_h * plan.p.in_w)
                for at in range(0, run.pixels, LINE_FLOATS):
                    b.prefetch(block.pixels, vectors[0][0] + (ahead + at))
            scalars = [(i, weight + i) for i in range(rows)]
            add_products(b, sums, (block.pixels, vectors), (self.weights, scalars))
            if run.singles:
                pieces = [(weight + at, lanes) for at, lanes in column_vectors(rows, self.lanes)]
                scalars = [(i, single + i) for i in range(run.singles)]
                add_products(b, alone, (self.weights, pieces), (block.pixels, scalars))

    def _next_weights(self, panel: _Panel, tile: _Tile) -> Expr:
        """Return how far ahead to ask for weights: a tile, while the first panel passes by.

        Later it is nothing, for weights that are near: what is asked for twice takes time twice.
        """
        size = self.plan.depth * tile.rows
        if isinstance(panel.index, int):
            return size
        return self.b.let(tirx.Select(panel.index == 0, size, 0))

    def _next_pixels(self, panel: _Panel, tile: _Tile) -> list[Expr]:
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

    def _fetch_outputs(self, block: _Block, panel: _Panel, tile: _Tile) -> None:
        """Ask for the lines that the panel's vectors are going to be written to."""
        last = panel.run.pixels - 1
        starts = list(range(0, last + 1, LINE_FLOATS))
        if self.plan.p.out_h * self.plan.p.out_w % LINE_FLOATS:  # ends may share another line
            starts.append(last)
        for i in range(tile.rows):
            for at in starts:
                place = (block.batch, tile.channel + i, panel.pixel + at)
                self.epilogue.prefetch(self.output, *place)

    def _write_singles(
        self, block: _Block, panel: _Panel, tile: _Tile, alone: RegisterTile
    ) -> None:
        """Write the sums of single pixels, vectors of channels, to one plane after the other."""
        b, rows = self.b, tile.rows
        for i in range(panel.run.singles):
            copy = b.workspace("single", rows)
            for index, (at, lanes) in enumerate(column_vectors(rows, self.lanes)):
                b.store(copy, at, alone.get(i, index), lanes)
            column = b.registers(rows, (1,))
            for row in range(rows):
                column.put(row, 0, b.load(copy, row))
            place = (self.output, block.batch, tile.channel)
            self.epilogue.write_tile(column, *place, b.let(panel.single + i), [(0, 1)])
