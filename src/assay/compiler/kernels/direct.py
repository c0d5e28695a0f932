"""Direct convolution of any window, stride, dilation, padding and number of groups.

A register tile is a few output columns of one row by a panel of output channels. Weights are packed
as panels [kernel_h][kernel_w][in_c / groups][panel columns]. Window rows that leave the image are
skipped by the bounds of the loop over them; column tiles at the image's edge are generated apart,
with only the taps that exist, so that there is neither a padding pass nor a test inside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

from assay.compiler.kernels.builder import (
    Buffer,
    Expr,
    KernelBuilder,
    RegisterTile,
    maximum,
    minimum,
    within,
)
from assay.compiler.kernels.epilogue_writer import EpilogueWriter, Pixels, ResultWriter
from assay.compiler.kernels.microkernel import add_outer_product
from assay.compiler.kernels.next_panel import NextPanel, next_panel
from assay.compiler.kernels.panels import (
    PanelRun,
    pack_panels,
    packed_columns,
    panel_count,
    split_columns,
)
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.tiles import choose_tile
from assay.compiler.kernels.windows import OutputTiles, tile_outputs
from assay.compiler.kernels.work import Sharing, choose_sharing, task_count
from assay.compiler.target import Isa

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def applicable(problem: Conv2d) -> bool:
    """Tell whether the kernel fits: always, but for a gated input."""
    return not problem.input_gate


def pack(problem: Conv2d, isa: Isa, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pack weights HWIO group by group into column panels, flat."""
    import numpy as np

    matrix = weights.reshape(-1, problem.out_c)
    runs = make_plan(problem, isa, 1).runs
    groups = np.split(matrix, problem.groups, axis=1)
    return np.concatenate([pack_panels(group, runs) for group in groups])


def packed_size(problem: Conv2d, plan: Plan) -> int:
    """Return how many packed weights there are."""
    return prod(problem.weights_shape[:3]) * problem.groups * packed_columns(plan.runs)


def generate(problem: Conv2d, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`Conv2d` says."""
    b = KernelBuilder()
    p = problem
    plan = make_plan(p, isa, parallel)
    source = b.parameter("input", p.input_shape)
    weights = b.parameter("weights", (packed_size(p, plan),))
    epilogue = EpilogueWriter(b, p.epilogue, p.output_shape)
    output = b.parameter("output", p.epilogue.stored_shape(p.output_shape))
    DirectWriter(b, p, plan, source, weights, epilogue, output).write()
    return b.function(name)


@dataclass(frozen=True)
class Plan:
    """Column panels of each group, tiles of output columns, output rows per block, threads.

    ``only_block`` says that there is one block of rows; threads share out its rows then.
    ``fetch_outputs`` asks for where results go, ``fetch_weights`` for the next panel.
    """

    runs: tuple[PanelRun, ...]
    tiles: tuple[OutputTiles, ...]
    block_rows: int
    only_block: bool
    sharing: Sharing
    fetch_outputs: bool
    fetch_weights: bool

    @property
    def tiles_per_panel(self) -> int:
        """Tiles that a panel is read for, one after the other."""
        return self.block_rows * self.tiles_per_row

    @property
    def tiles_per_row(self) -> int:
        """Tiles of an output row."""
        return sum(run.count for run in self.tiles)


def make_plan(p: Conv2d, isa: Isa, parallel: int) -> Plan:
    """Choose panels, tiles, blocks and what threads share out."""
    depth, columns = prod(p.weights_shape[:3]), p.out_c // p.groups
    tile = choose_tile(isa, p.out_w, columns, depth)
    runs = split_columns(columns, isa.lanes(), tile.vectors)
    input_bytes, weight_bytes = 4 * prod(p.input_shape), 4 * depth * p.groups * packed_columns(runs)
    moved = input_bytes + weight_bytes + 4 * prod(p.output_shape)
    tasks = task_count(isa, parallel, p.flops, moved)
    tiles = tile_outputs(p.columns, tile.rows)
    lines, panel_parts = p.batch * p.out_h, p.groups * panel_count(runs)
    row_parts = sum(run.count for run in tiles) if lines == 1 else lines
    sharing = choose_sharing(tasks, row_parts, panel_parts, input_bytes, weight_bytes)

    block_rows = 1
    if weight_bytes > isa.l1_bytes // 2:
        row_bytes = 4 * p.stride_h * p.in_w * p.in_c
        block_rows = max(1, min(p.out_h, isa.l2_bytes // 2 // row_bytes))
    only_block = p.batch * -(-p.out_h // block_rows) == 1
    if sharing == "rows" and p.batch < tasks and not only_block:
        block_rows = min(block_rows, -(-p.out_h // tasks))
    plan = Plan(runs, tiles, block_rows, only_block, sharing, moved > isa.l2_bytes, False)
    reused = weight_bytes > isa.l1_bytes and plan.tiles_per_panel > 1
    return replace(plan, fetch_weights=reused and panel_parts > 1)


@dataclass(frozen=True)
class _Panel:
    """One panel of one group: its first output channel, and its place in the packed weights.

    ``ahead`` is what is asked for while it is read.
    """

    run: PanelRun
    channel: Expr
    packed: Expr
    in_channel: Expr
    ahead: NextPanel | None = None


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
    weights start at ``weights``. ``taps(b, row)`` says what a row of the output sees.
    """

    columns: int
    first_column: int
    column_step: int
    weights: int
    taps: Callable[[KernelBuilder, Expr], RowTaps]


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

    @property
    def _one_row(self) -> bool:
        """Whether the output is a single row: its tiles are what threads share out then."""
        return self.p.batch * self.p.out_h == 1

    def write(self) -> None:
        """Emit the loops."""
        b, runs = self.b, self.plan.runs
        if self.plan.sharing != "panels":
            self._row_blocks(self._all_panels)
            return
        panels = panel_count(runs)
        with b.parallel(self.p.groups * panels) as index:
            group, panel = b.let(index // panels), b.let(index % panels)
            for run in runs:
                with b.when(within(panel, run.first, run.first + run.count)):
                    self._row_blocks(
                        partial(self._block, self._panel(run, group, panel - run.first))
                    )

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
        b = self.b
        with b.serial(self.p.groups) as group:
            for run in self.plan.runs:
                with b.serial(run.count) as index:
                    self._block(self._panel(run, group, index), batch, first_row)

    def _panel(self, run: PanelRun, group: Expr, index: Expr) -> _Panel:
        b, p = self.b, self.p
        before = index * run.packed_columns
        channel = group * (p.out_c // p.groups) + run.start + before
        packed = group * packed_columns(self.plan.runs) + run.packed + before
        depth = prod(p.weights_shape[:3])
        start = packed * depth + (self.part.weights if self.part else 0)
        return _Panel(run, b.let(channel), b.let(start), group * self.group_depth)

    def _block(self, panel: _Panel, batch: Expr, first_row: Expr) -> None:
        b, p = self.b, self.p
        count: Expr = self.plan.block_rows
        if p.out_h % self.plan.block_rows:
            count = minimum(count, p.out_h - first_row)
        inside = self.plan.only_block and not self._one_row
        loop = b.parallel if self.plan.sharing == "rows" and inside else b.serial
        with loop(count) as index:
            row = b.let(first_row + index)
            taps = self.part.taps(b, row) if self.part else self._taps(row)
            empty = self.part is not None or p.rows.some_see_nothing
            with b.when(taps.count > 0 if empty else True):
                seen = replace(taps, count=b.let(maximum(taps.count, 1)))
                self._row(panel, batch, row, seen, index)
            with b.when(taps.count <= 0 if empty else False):
                self._row(panel, batch, row, RowTaps(0, 0, 0), index)

    def _taps(self, row: Expr) -> RowTaps:
        p = self.p
        first, count = p.rows.taps(self.b, row)
        return RowTaps(count, row * p.stride_h + first * p.dilation_h - p.pad_top, first)

    def _row(self, panel: _Panel, batch: Expr, row: Expr, taps: RowTaps, index: Expr) -> None:
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

    def _with_next(self, panel: _Panel, tile: Expr) -> _Panel:
        """Return the panel with what tile number ``tile`` of its block asks for."""
        size = (prod(self.p.weights_shape[:3]), panel.run.packed_columns)
        share = (tile, self.plan.tiles_per_panel)
        ahead = next_panel(self.b, self.weights, panel.packed, size, share)
        return replace(panel, ahead=ahead)

    def _tile(
        self,
        panel: _Panel,
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
        panel: _Panel,
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
        panel: _Panel,
        rows: list[int],
        start: Expr,
        depth: Expr,
        count: Expr,
        length: int,
    ) -> None:
        """Add ``count`` window rows of ``length`` inputs each, as one loop.

        The first input is at ``start``, its weights are row ``depth`` of the panel.

        LLVM would unroll a loop over rows, tripling the code; the division below costs next to
        nothing beside a tile of multiply-adds.
        """
        b, p = self.b, self.p
        step, beside = p.stride_w * p.in_c, p.kernel_w * self.group_depth - length
        start, depth = b.let(start), b.let(depth)
        with b.serial(count * length, carry=tile) as index:
            line = b.let(index // length)
            source = b.let(start + index + line * (p.dilation_h * p.in_w * p.in_c - length))
            place = b.let(depth + index + line * beside)
            if panel.ahead is not None:
                panel.ahead.ask(b, place)
            weights = panel.packed + place * panel.run.packed_columns
            inputs = [(row, source + row * step) for row in rows]
            add_outer_product(b, tile, panel.run, (self.weights, weights), (self.source, inputs))
