"""Matrix product with packed weights, the core of 1x1 convolutions and dense layers.

Loops, outermost first: blocks of rows whose input stays in the second-level cache; column panels;
register tiles of rows; depth. One step of depth loads a few vectors of weights and one input per
row, and multiplies each by each. Threads share out either the row blocks or the panels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from assay.compiler.kernels.builder import (
    Buffer,
    Expr,
    KernelBuilder,
    broadcast,
    minimum,
    within,
)
from assay.compiler.kernels.epilogue import Epilogue
from assay.compiler.kernels.epilogue_writer import LINE_FLOATS, EpilogueWriter, Pixels
from assay.compiler.kernels.microkernel import add_outer_product
from assay.compiler.kernels.next_panel import NextPanel, next_panel
from assay.compiler.kernels.next_tile import sum_in_parts
from assay.compiler.kernels.panels import PanelRun, packed_columns, panel_count, split_columns
from assay.compiler.kernels.splits import EvenSplit, split_evenly
from assay.compiler.kernels.tiles import choose_tile, steps_per_turn, steps_that_fit
from assay.compiler.kernels.work import Sharing, choose_sharing, task_count
from assay.compiler.target import Isa

# What comes from the last-level cache while it answers, about 25 GB/s for 80 ns. Several panels
# take each input several times, so that less of it is needed in that time.
BYTES_AHEAD = 2048


@dataclass(frozen=True)
class Strips:
    """Where the rows of the left matrix are: strips of rows at equal distances (in elements)."""

    batch: int
    per_batch: int
    length: int
    row_step: int
    strip_step: int
    batch_step: int

    @property
    def count(self) -> int:
        """Strips in all batch items."""
        return self.batch * self.per_batch


@dataclass(frozen=True)
class Product:
    """[rows, depth] x [depth, columns], rows as ``strips`` of a tensor of ``input_shape``."""

    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    strips: Strips
    columns: int
    depth: int
    gate_shape: tuple[int, ...] | None
    epilogue: Epilogue

    @property
    def rows(self) -> int:
        """Rows of the left matrix."""
        return self.strips.count * self.strips.length


@dataclass(frozen=True)
class Plan:
    """A product cut up: column panels, row tiles of each strip, threads.

    A block is multiplied by one panel after the other: ``block_strips`` strips, or ``block_tiles``
    tiles of a single one. ``only_block`` says that there is no other; threads share out its tiles
    then. A turn of the innermost loop takes ``steps`` of depth, if they fit. A tile asks for the
    inputs of the one ``tiles_ahead`` of it, for none if 0. ``fetch_outputs`` asks for where results
    go, of the next tile if there are several panels, ``fetch_weights`` for the next panel.
    """

    runs: tuple[PanelRun, ...]
    tiles: EvenSplit
    steps: int
    block_strips: int
    block_tiles: int
    only_block: bool
    sharing: Sharing
    tiles_ahead: int
    fetch_outputs: bool
    fetch_weights: bool

    @property
    def fetch_next_outputs(self) -> bool:
        """Whether a tile asks for where the results of the next one go, not its own."""
        return self.fetch_outputs and panel_count(self.runs) > 1

    @property
    def strip_blocks(self) -> int:
        """Blocks of a strip, or of ``block_strips``."""
        return -(-self.tiles.tiles // self.block_tiles)

    @property
    def tiles_per_panel(self) -> int:
        """Row tiles of a block."""
        return self.block_strips * self.block_tiles


def column_runs(isa: Isa, product: Product) -> tuple[PanelRun, ...]:
    """Return the panels that the weights are packed in."""
    tile = choose_tile(isa, product.strips.length, product.columns, product.depth)
    return split_columns(product.columns, isa.lanes(), tile.vectors)


def make_plan(isa: Isa, product: Product, parallel: int) -> Plan:
    """Choose tiles, the blocking of rows and what the threads share out."""
    strips, depth = product.strips, product.depth
    tile = choose_tile(isa, strips.length, product.columns, depth)
    runs = column_runs(isa, product)
    tiles = split_evenly(strips.length, tile.rows)
    input_bytes = 4 * product.rows * depth
    weight_bytes = 4 * depth * packed_columns(runs)
    moved = input_bytes + weight_bytes + 4 * product.rows * product.columns
    tasks = task_count(isa, parallel, 2 * product.rows * product.columns * depth, moved)
    row_parts = tiles.tiles * strips.count
    sharing = choose_sharing(tasks, row_parts, panel_count(runs), input_bytes, weight_bytes)

    block_strips, block_tiles, tile_bytes = 1, 1, 4 * depth * tile.rows
    if weight_bytes + tile_bytes > isa.l1_bytes:
        fitting = max(1, isa.l2_bytes // 2 // tile_bytes)
        block_strips = max(1, min(fitting // tiles.tiles, strips.count))
        block_tiles = min(fitting, tiles.tiles)
    only_block = block_strips * block_tiles == row_parts
    if sharing == "rows" and not only_block:
        block_strips = min(block_strips, -(-strips.count // tasks))
        if strips.count < tasks:
            block_tiles = min(block_tiles, -(-tiles.tiles // tasks))
    panels, reused = panel_count(runs), block_strips * block_tiles > 1
    fetch_inputs = strips.row_step == depth and 2 * moved > isa.l2_bytes
    tiles_ahead = max(1, round(BYTES_AHEAD / (tile_bytes * panels)))
    return Plan(
        runs,
        tiles,
        steps_per_turn(isa, tile.rows),
        block_strips,
        block_tiles,
        only_block,
        sharing,
        tiles_ahead=0 if (reused and panels > 1) or not fetch_inputs else tiles_ahead,
        fetch_outputs=moved > isa.l2_bytes,
        fetch_weights=reused and panels > 1 and not product.gate_shape,
    )


def write_product(product: Product, isa: Isa, name: str, parallel: int) -> Any:
    """Return the PrimFunc: input, packed weights, gate if any, epilogue operands, output."""
    b = KernelBuilder()
    plan = make_plan(isa, product, parallel)
    source = b.parameter("input", product.input_shape)
    weights = b.parameter("weights", (product.depth * packed_columns(plan.runs),))
    gate = b.parameter("gate", product.gate_shape) if product.gate_shape else None
    epilogue = EpilogueWriter(b, product.epilogue, product.output_shape)
    if packed_columns(plan.runs) == product.columns:  # else some are computed twice
        epilogue.let_results_replace_operands()
    output = b.parameter("output", product.epilogue.stored_shape(product.output_shape))
    if gate is not None:
        weights = _scaled_weights(b, product, plan.runs, weights, gate)
    gated = gate is not None
    _ProductWriter(b, product, plan, source, weights, gated, epilogue, output).write()
    return b.function(name)


def _scaled_weights(
    b: KernelBuilder, product: Product, runs: tuple[PanelRun, ...], weights: Buffer, gate: Buffer
) -> Buffer:
    """Return the weights times the gate of each batch item, in one array after the other.

    To multiply the weights takes 1 / rows of the product's time; to multiply inputs as they are
    used would take 1 / vectors of it.
    """
    depth, size = product.depth, product.depth * packed_columns(runs)
    scaled = b.workspace("scaled", product.strips.batch * size)
    with b.serial(product.strips.batch) as batch:
        for run in runs:
            with b.serial(run.count) as panel, b.serial(depth) as k:
                factor = b.let(b.load(gate, batch * depth + k))
                row = b.let((run.packed + panel * run.packed_columns) * depth)
                row = b.let(row + k * run.packed_columns)
                for start, lanes in zip(run.packed_starts(), run.widths, strict=True):
                    value = b.load(weights, row + start, lanes) * broadcast(factor, lanes)
                    b.store(scaled, batch * size + row + start, value, lanes)
    return scaled


@dataclass(frozen=True)
class _ProductWriter:
    b: KernelBuilder
    product: Product
    plan: Plan
    source: Buffer
    weights: Buffer
    gated: bool
    epilogue: EpilogueWriter
    output: Buffer

    def write(self) -> None:
        if self.plan.sharing != "panels":
            self._row_blocks(self._all_panels)
            return
        with self.b.parallel(panel_count(self.plan.runs)) as panel:
            for run in self.plan.runs:
                with self.b.when(within(panel, run.first, run.first + run.count)):
                    self._row_blocks(partial(self._block, run, panel - run.first))

    def _row_blocks(self, body: Callable[[Expr, Expr], None]) -> None:
        b, plan = self.b, self.plan
        loop = b.parallel if plan.sharing == "rows" and not plan.only_block else b.serial
        with loop(-(-self.product.strips.count // plan.block_strips) * plan.strip_blocks) as unit:
            strip = b.let(unit // plan.strip_blocks * plan.block_strips)
            first = b.let(unit % plan.strip_blocks * plan.block_tiles)
            body(strip, first)

    def _all_panels(self, strip: Expr, first: Expr) -> None:
        for run in self.plan.runs:
            with self.b.serial(run.count) as panel:
                self._block(run, panel, strip, first)

    def _block(self, run: PanelRun, panel: Expr, first_strip: Expr, first: Expr) -> None:
        b, plan, tiles = self.b, self.plan, self.plan.tiles
        strips = _at_most(plan.block_strips, self.product.strips.count, first_strip)
        count = b.let(_at_most(plan.block_tiles, tiles.tiles, first))
        loop = b.parallel if plan.sharing == "rows" and plan.only_block else b.serial
        with loop(strips * count) as index:
            strip, tile = b.let(first_strip + index // count), b.let(first + index % count)
            ahead = self._next_panel(run, panel, index) if plan.fetch_weights else None
            large = tiles.large_tiles
            with b.when(tile < large if large else False):
                row = tile * (tiles.small + 1)
                self._tile(run, panel, ahead, strip, row, tiles.small + 1)
            with b.when(tile >= large if large else True):
                self._tile(run, panel, ahead, strip, tile * tiles.small + large, tiles.small)

    def _next_panel(self, run: PanelRun, panel: Expr, tile: Expr) -> NextPanel:
        """Return what a tile of a block asks for."""
        depth, width = self.product.depth, run.packed_columns
        start = (run.packed + panel * width) * depth
        share = (tile, self.plan.tiles_per_panel)
        return next_panel(self.b, self.weights, start, (depth, width), share)

    def _tile(
        self,
        run: PanelRun,
        panel: Expr,
        ahead: NextPanel | None,
        strip: Expr,
        row: Expr,
        rows: int,
    ) -> None:
        b, product, strips = self.b, self.product, self.product.strips
        batch = b.let(strip // strips.per_batch)
        inner = strip % strips.per_batch
        depth, width = product.depth, run.packed_columns
        start = batch * strips.batch_step + inner * strips.strip_step + row * strips.row_step
        start = b.let(start)
        packed = (run.packed + panel * width) * depth
        if self.gated:
            packed = packed + batch * (depth * packed_columns(self.plan.runs))
        packed = b.let(packed)
        column = b.let(run.start + panel * width)
        pixels = Pixels(b.let(strip * strips.length + row), 1, rows)
        plan, last = self.plan, product.rows - rows
        steps = steps_that_fit(plan.steps, depth)
        if plan.fetch_outputs and not plan.fetch_next_outputs:
            self.epilogue.prefetch_tile(self.output, pixels, column, run.vectors)
        ahead_rows = plan.tiles_ahead * rows
        following = b.let(minimum(start + ahead_rows * depth, last * depth)) if ahead_rows else 0
        next_pixel = b.let(minimum(pixels.corner + rows, last)) if plan.fetch_next_outputs else 0

        tile = b.registers(rows, run.widths)
        self.epilogue.start_tile(tile, column, run.vectors)

        def ask(first: int, end: int) -> None:
            there = Pixels(next_pixel + first, 1, end - first)
            self.epilogue.prefetch_tile(self.output, there, column, run.vectors)

        def add(turn: Expr) -> None:
            first = b.let(turn * steps)
            if ahead is not None:
                ahead.ask(b, first, steps)
            if ahead_rows:
                for offset in range(0, rows * steps, LINE_FLOATS):
                    b.prefetch(self.source, following + first * rows + offset)
            for k in range(steps):
                inputs = [(i, start + first + (i * strips.row_step + k)) for i in range(rows)]
                weights = (self.weights, packed + first * width + k * width)
                add_outer_product(b, tile, run, weights, (self.source, inputs))

        if plan.fetch_next_outputs:
            sum_in_parts(b, tile, depth // steps, ask, add)
        else:
            with b.serial(depth // steps, carry=tile) as turn:
                add(turn)
        self.epilogue.write_tile(tile, self.output, pixels, batch, column, run.vectors)


def _at_most(size: int, total: int, first: Expr) -> Expr:
    """Return how many of ``total`` a block of ``size`` has that starts at ``first``."""
    return size if total % size == 0 else minimum(size, total - first)
