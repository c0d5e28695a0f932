"""Writes direct convolution: loops over panels, output rows and register tiles, and the taps.

:mod:`direct` plans it and says how weights are packed. Other kernels have parts of their outputs
written the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import TYPE_CHECKING

from assay.compiler.kernels.builder import (
    Buffer,
    Expr,
    KernelBuilder,
    RegisterTile,
    maximum,
    minimum,
)
from assay.compiler.kernels.direct_panels import Panel, each_panel
from assay.compiler.kernels.epilogue_writer import Pixels, ResultWriter
from assay.compiler.kernels.microkernel import add_outer_product
from assay.compiler.kernels.next_panel import next_panel
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.tiles import FEW_TURNS
from assay.compiler.kernels.windows import OutputTiles

if TYPE_CHECKING:
    from assay.compiler.kernels.direct import Plan


@dataclass(frozen=True)
class RowTaps:
    """What an output row sees: ``count`` rows from ``image_row`` on, and as many of the weights."""

    count: Expr
    image_row: Expr
    weights_row: Expr


@dataclass(frozen=True)
class Part:
    """Which outputs and weights of a larger problem a writer is for; by default all of its own.

    Its output column ``c`` is column ``first_column + c * column_step`` of ``columns``; its packed
    weights start at ``weights``. ``taps(b, row)`` says what a row of the output sees, and
    ``some_see_nothing`` whether that may be nothing.
    """

    columns: int
    first_column: int
    column_step: int
    weights: int
    taps: Callable[[KernelBuilder, Expr], RowTaps]
    some_see_nothing: bool = True


@dataclass(frozen=True)
class DirectWriter:
    """Writes all outputs of ``p``; with ``part``, at its places and from what its rows see."""

    b: KernelBuilder
    p: Conv2d
    plan: Plan
    source: Buffer
    weights: Buffer
    epilogue: ResultWriter
    output: Buffer
    part: Part | None = None

    @property
    def group_depth(self) -> int:
        """Input channels of one group."""
        return self.p.in_c // self.p.groups

    def _steps(self, length: int) -> int:
        """Return how many steps of ``length`` one turn of a loop takes."""
        return 1 if length % self.plan.steps else self.plan.steps

    @property
    def _fetch_unit(self) -> int:
        """Steps of depth that share a request for the next panel: of a turn, if all are as long."""
        return self._steps(self.group_depth)

    @property
    def _one_row(self) -> bool:
        """Whether the output is a single row: its tiles are what threads share out then."""
        return self.p.batch * self.p.out_h == 1

    def write(self) -> None:
        """Emit the loops."""
        if self.plan.sharing == "panels":
            self._each_panel(lambda panel: self._row_blocks(partial(self._block, panel)))
        else:
            self._row_blocks(self._all_panels)

    def write_row(self, batch: Expr, row: Expr) -> None:
        """Emit one row of the output, if blocks are of one row."""
        self._all_panels(batch, row)

    def _row_blocks(self, body: Callable[[Expr, Expr], None]) -> None:
        b, rows = self.b, self.plan.block_rows
        blocks = -(-self.p.out_h // rows)
        whole = self._one_row or self.plan.only_block
        loop = b.parallel if self.plan.sharing == "rows" and not whole else b.serial
        with loop(self.p.batch * blocks) as unit:
            body(b.let(unit // blocks), b.let(unit % blocks * rows))

    def _all_panels(self, batch: Expr, first_row: Expr) -> None:
        self._each_panel(lambda panel: self._block(panel, batch, first_row))

    def _each_panel(self, body: Callable[[Panel], None]) -> None:
        each_panel(self.b, self.p, self.plan, body, self.part.weights if self.part else 0)

    def _block(self, panel: Panel, batch: Expr, first_row: Expr) -> None:
        b, p = self.b, self.p
        count: Expr = self.plan.block_rows
        if p.out_h % self.plan.block_rows:
            count = minimum(count, p.out_h - first_row)
        inside = self.plan.only_block and not self._one_row
        loop = b.parallel if self.plan.sharing == "rows" and inside else b.serial
        with loop(count) as index:
            self.write_panel_row(panel, batch, b.let(first_row + index), index)

    def write_panel_row(self, panel: Panel, batch: Expr, row: Expr, index: Expr) -> None:
        """Emit a panel's channels of an output row, the one of number ``index`` in its block."""
        b = self.b
        taps = self.part.taps(b, row) if self.part else self._taps(row)
        empty = self.part.some_see_nothing if self.part else self.p.rows.some_see_nothing
        with b.when(taps.count > 0 if empty else True):
            seen = replace(taps, count=b.let(maximum(taps.count, 1)))
            self._row(panel, batch, row, seen, index)
        with b.when(taps.count <= 0 if empty else False):
            self._row(panel, batch, row, RowTaps(0, 0, 0), index)

    def _taps(self, row: Expr) -> RowTaps:
        p = self.p
        first, count = p.rows.taps(self.b, row)
        return RowTaps(count, row * p.stride_h + first * p.dilation_h - p.pad_top, first)

    def _row(self, panel: Panel, batch: Expr, row: Expr, taps: RowTaps, index: Expr) -> None:
        """Write the row that is number ``index`` of its block."""
        b = self.b
        before = index * self.plan.tiles_per_row
        loop = b.parallel if self.plan.sharing == "rows" and self._one_row else b.serial
        for tiles in self.plan.tiles:
            with loop(tiles.count) as tile:
                column = tiles.start + tile * tiles.size
                seen = self._with_next(panel, before + tile) if self.plan.fetch_weights else panel
                self._tile(seen, batch, row, taps, tiles, column)
            before = before + tiles.count

    def _with_next(self, panel: Panel, tile: Expr) -> Panel:
        """Return the panel with what tile number ``tile`` of its block asks for."""
        units = prod(self.p.weights_shape[:3]) // self._fetch_unit
        size = (units, self._fetch_unit * panel.run.packed_columns)
        share = (tile, self.plan.tiles_per_panel)
        ahead = next_panel(self.b, self.weights, panel.packed, size, share)
        return replace(panel, ahead=ahead)

    def _tile(
        self,
        panel: Panel,
        batch: Expr,
        row: Expr,
        taps: RowTaps,
        tiles: OutputTiles,
        column: Expr,
    ) -> None:
        b, p, run = self.b, self.p, panel.run
        line = batch * p.out_h + row
        corner, step = line * p.out_w + column, 1
        if self.part:
            step = self.part.column_step
            corner = line * self.part.columns + self.part.first_column + column * step
        pixels = Pixels(b.let(corner), 1, tiles.size, column_step=step)
        if self.plan.fetch_outputs:
            self.epilogue.prefetch_tile(self.output, pixels, panel.channel, run.vectors)
        tile = b.registers(tiles.size, run.widths)
        self.epilogue.start_tile(tile, panel.channel, run.vectors)
        self._sums(tile, tiles, panel, batch, taps, column)
        self.epilogue.write_tile(tile, self.output, pixels, batch, panel.channel, run.vectors)

    def _sums(
        self,
        tile: RegisterTile,
        tiles: OutputTiles,
        panel: Panel,
        batch: Expr,
        taps: RowTaps,
        column: Expr,
    ) -> None:
        """Add all taps on the image."""
        b, p = self.b, self.p
        line = batch * p.in_h + taps.image_row
        start = (line * p.in_w + (column * p.stride_w - p.pad_left)) * p.in_c + panel.in_channel
        start = b.let(start)
        first = b.let(taps.weights_row * (p.kernel_w * self.group_depth))
        for tap, count_w, outputs in self._tap_runs(tiles):
            source = start + tap * p.dilation_w * p.in_c
            depth = first + tap * self.group_depth
            length = count_w * self.group_depth
            self._run(tile, panel, outputs, source, depth, taps.count, length)

    def _tap_runs(self, tiles: OutputTiles) -> list[tuple[int, int, list[int]]]:
        """Return (first tap, taps, outputs that see them) along a row of the window.

        Taps that the same outputs see make one run, if they are neighbours in memory.
        """
        p = self.p
        neighbours = p.dilation_w == 1 and p.groups == 1
        runs: list[tuple[int, int, list[int]]] = []
        for tap in range(p.kernel_w):
            outputs = [
                i
                for i in range(tiles.size)
                if tiles.complete or p.columns.inside(tiles.start + i, tap)
            ]
            if runs and neighbours and runs[-1][2] == outputs:
                first, taps, _ = runs.pop()
                runs.append((first, taps + 1, outputs))
            else:
                runs.append((tap, 1, outputs))
        return [run for run in runs if run[2]]

    def _run(
        self,
        tile: RegisterTile,
        panel: Panel,
        rows: list[int],
        start: Expr,
        depth: Expr,
        count: Expr,
        length: int,
    ) -> None:
        """Add ``count`` window rows of ``length`` inputs each.

        The first input is at ``start``, its weights are row ``depth`` of the panel.

        A turn takes a few steps of depth: instructions of the loop itself take slots that
        multiply-adds could have.
        """
        b, p, width = self.b, self.p, panel.run.packed_columns
        step, steps, unit = p.stride_w * p.in_c, self._steps(length), self._fetch_unit
        start, depth = b.let(start), b.let(depth)
        with self._turns(tile, count, length // steps) as (line, turn):
            source = b.let(start + line * (p.dilation_h * p.in_w * p.in_c))
            place = b.let(depth + line * (p.kernel_w * self.group_depth))
            packed = b.let(panel.packed + place * width)
            if panel.ahead is not None:
                panel.ahead.ask(b, place // unit + turn * (steps // unit), steps // unit)
            for k in range(steps):
                weights = (self.weights, packed + (turn * (steps * width) + k * width))
                inputs = [(row, source + (turn * steps + (k + row * step))) for row in rows]
                add_outer_product(b, tile, panel.run, weights, (self.source, inputs))

    @contextmanager
    def _turns(self, tile: RegisterTile, lines: Expr, turns: int) -> Iterator[tuple[Expr, Expr]]:
        """Loop over lines, and over the turns of each; yields the numbers of both."""
        b = self.b
        if turns >= FEW_TURNS:
            with b.serial(lines, carry=tile) as line, b.serial(turns, carry=tile) as turn:
                yield line, turn
            return
        with b.serial(lines * turns, carry=tile) as index:
            line = b.let(index // turns)
            yield line, b.let(index - line * turns)
