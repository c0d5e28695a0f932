"""Integer matrix product with packed weights: the core of convolutions and dense layers.

The output is lines of pixels. Loops, outermost first: parts of the output whose inputs stay in the
second-level cache; column panels; register tiles of pixels; depth. Threads share out either the
parts or the panels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.compiler.kernels.builder import Buffer, Expr, broadcast, minimum, within
from assay.compiler.kernels.int8.builder import IntegerKernelBuilder
from assay.compiler.kernels.int8.depth import Depth, PackedPanel, add_products, pack_depth
from assay.compiler.kernels.int8.dot import Dot, choose_dot
from assay.compiler.kernels.int8.epilogue import OutputWriter
from assay.compiler.kernels.int8.panels import pack_columns, packed_order, store_groups
from assay.compiler.kernels.int8.plan import (
    Grid,
    Placement,
    Plan,
    make_plan,
    panel_runs,
    tile_isa,
)
from assay.compiler.kernels.int8.problem import Linear, PackedWeights, folded_bias
from assay.compiler.kernels.int8.sums import SumTile, sum_inputs
from assay.compiler.kernels.int8.vectors import anew
from assay.compiler.kernels.int8.views import Part, View
from assay.compiler.kernels.panels import PanelRun, packed_columns, panel_count
from assay.compiler.target import Isa


@dataclass(frozen=True)
class Product:
    """What is multiplied, and where the inputs are; groups follow each other in the channels.

    ``placement`` says where outputs go; without one the grid is all of the output, in order.
    """

    problem: Linear
    grid: Grid
    depth: Depth
    view: View
    placement: Placement | None = None

    def plan(self, isa: Isa, dot: Dot, input_bytes: int, parallel: int) -> Plan:
        """Choose tiles, parts, and what threads share out."""
        p = self.problem
        tiled = tile_isa(isa, dot, p.weights_zero_point, added=p.addition is not None)
        return make_plan(tiled, dot, self.grid, self.depth, self.view, input_bytes, parallel)


@dataclass(frozen=True)
class Constants:
    """Buffers of what :func:`pack_product` packs, and where a product's own begin in them."""

    weights: Buffer
    bias: Buffer
    multipliers: Buffer
    first_weight: int = 0
    first_column: int = 0


def pack_product(
    product: Product,
    isa: Isa,
    weights: NDArray[np.int8],
    bias: NDArray[np.int32],
    multipliers: NDArray[np.float32],
) -> PackedWeights:
    """Pack weights [segments, length, groups * columns] and what comes per output channel."""
    dot, grid, depth = choose_dot(isa), product.grid, product.depth
    p = product.problem
    zero_point = p.input_zero_point - dot.input_offset
    bias = folded_bias(bias, weights, zero_point, p.weights_zero_point)
    tiled = tile_isa(isa, dot, p.weights_zero_point, added=p.addition is not None)
    order = packed_order(isa, grid.columns, panel_runs(tiled, dot, grid, depth))
    packed: list[list[NDArray[Any]]] = [[], [], []]
    for group in range(grid.groups):
        columns = slice(group * grid.columns, (group + 1) * grid.columns)
        steps = pack_depth(depth, dot, weights[..., columns], p.weights_zero_point)
        words = steps.view(f"int{8 * dot.taps}")[..., 0]
        packed[0].append(pack_columns(words, order).view(np.int8))
        packed[1].append(pack_columns(bias[columns], order))
        packed[2].append(pack_columns(multipliers[columns].astype(np.float32), order))
    return PackedWeights(*(np.concatenate(pieces) for pieces in packed))


def write_product(product: Product, isa: Isa, name: str, parallel: int) -> Any:
    """Return the PrimFunc; parameters as the problem says."""
    return write_products([product], isa, name, parallel)


def write_products(products: Sequence[Product], isa: Isa, name: str, parallel: int) -> Any:
    """Return the PrimFunc of products that share one problem's input and output.

    Their packed constants follow each other.
    """
    b = IntegerKernelBuilder()
    dot, p = choose_dot(isa), products[0].problem
    shape, output_shape = p.geometry.input_shape, p.geometry.output_shape
    plans = [product.plan(isa, dot, int(np.prod(shape)), parallel) for product in products]
    columns = [plan.grid.groups * packed_columns(plan.runs) for plan in plans]
    sizes = [
        product.depth.steps(dot) * dot.taps * own
        for product, own in zip(products, columns, strict=True)
    ]
    source = b.parameter("input", shape, "uint8")
    weights = b.parameter("weights", (sum(sizes),), "int8")
    bias = b.parameter("bias", (sum(columns),), "int32")
    multipliers = b.parameter("multipliers", (sum(columns),))
    addend = b.parameter("addend", output_shape, "uint8") if p.addition else None
    output = b.parameter("output", p.geometry.epilogue.stored_shape(output_shape), "uint8")
    writer = OutputWriter(b, isa, p, output, addend)
    for index, (product, plan) in enumerate(zip(products, plans, strict=True)):
        starts = sum(sizes[:index]), sum(columns[:index])
        constants = Constants(weights, bias, multipliers, *starts)
        ProductWriter(b, product, dot, plan, source, constants, writer).write()
    return b.function(name)


@dataclass(frozen=True)
class _Inputs:
    """An opened part: its buffer, where it starts there, what each pixel adds to its sums."""

    part: Part
    first_tile: Expr
    tiles: Expr
    buffer: Buffer
    start: Expr
    corrections: Buffer | None


@dataclass(frozen=True)
class _Panel:
    """One panel of one group: its first output channel and its place in the packed constants."""

    run: PanelRun
    group: Expr
    channel: Expr
    packed: Expr


@dataclass(frozen=True)
class ProductWriter:
    """Writes the loops of one product into a kernel."""

    b: IntegerKernelBuilder
    product: Product
    dot: Dot
    plan: Plan
    source: Buffer
    constants: Constants
    output: OutputWriter

    def write(self) -> None:
        """Write all parts of the output."""
        b, plan = self.b, self.plan
        loop = b.parallel if plan.sharing == "rows" else b.serial
        with loop(plan.parts) as index:
            part, tile, tiles = plan.part(b, index)
            buffer, start = self.product.view.open(b, self.source, part)
            corrections = self._corrections(part, buffer, start)
            self._panels(_Inputs(part, tile, tiles, buffer, start, corrections))

    def _corrections(self, part: Part, buffer: Buffer, start: Expr) -> Buffer | None:
        """For each group and pixel: minus the weights' zero point times the sum of the inputs."""
        b, grid, view = self.b, self.product.grid, self.product.view
        zero_point = self.product.problem.weights_zero_point
        if zero_point == 0 or self.dot.wide_weights:
            return None
        size = grid.groups * part.most_lines * part.most_pixels
        space = b.workspace("corrections", size, "int32")
        loops = b.serial(grid.groups), b.serial(part.lines), b.serial(part.pixels)
        with loops[0] as group, loops[1] as line, loops[2] as pixel:
            first = start + line * view.line_step + pixel * view.pixel_step
            first = b.let(first + group * self._group_step)
            total = sum_inputs(b, self.dot, self.product.depth, buffer, first)
            b.store(space, self._correction(part, group, line, pixel), total * -zero_point)
        return space

    @property
    def _group_step(self) -> int:
        """Input channels from one group to the next."""
        return self.product.depth.length if self.product.grid.groups > 1 else 0

    def _correction(self, part: Part, group: Expr, line: Expr, pixel: Expr) -> Expr:
        return (group * part.most_lines + line) * part.most_pixels + pixel

    def _panels(self, inputs: _Inputs) -> None:
        b, groups, runs = self.b, self.product.grid.groups, self.plan.runs
        if self.plan.sharing == "panels":
            panels = panel_count(runs)
            with b.parallel(groups * panels) as index:
                group, panel = b.let(index // panels), b.let(index % panels)
                for run in runs:
                    with b.when(within(panel, run.first, run.first + run.count)):
                        self._tiles(inputs, self._panel(run, group, panel - run.first))
            return
        with b.serial(groups) as group:
            for run in runs:
                with b.serial(run.count) as panel:
                    self._tiles(inputs, self._panel(run, group, panel))

    def _panel(self, run: PanelRun, group: Expr, index: Expr) -> _Panel:
        before = index * run.packed_columns
        channel = self.b.let(group * self.product.grid.columns + run.start + before)
        packed = group * packed_columns(self.plan.runs) + (run.packed + before)
        return _Panel(run, group, channel, self.b.let(packed))

    def _tiles(self, inputs: _Inputs, panel: _Panel) -> None:
        b, plan, tiles = self.b, self.plan, self.plan.tiles

        def tile(line: Expr, index: Expr, size: int) -> None:
            pixel = b.let(plan.first_pixel(index) - inputs.part.pixel)
            self._tile(inputs, panel, line, pixel, size)

        if plan.splits_lines:
            large = tiles.large_tiles
            with b.serial(inputs.tiles) as count:
                index = b.let(inputs.first_tile + count)
                with b.when(index < large if large else False):
                    tile(0, index, tiles.small + 1)
                with b.when(index >= large if large else True):
                    tile(0, index, tiles.small)
            return
        with b.serial(inputs.part.lines) as line:
            first = 0
            for _, count, size in tiles.parts():
                with b.serial(count) as index:
                    tile(line, first + index, size)
                first += count

    def _tile(self, inputs: _Inputs, panel: _Panel, line: Expr, pixel: Expr, size: int) -> None:
        b, grid, view, run = self.b, self.product.grid, self.product.view, panel.run
        part = inputs.part
        start = inputs.start + line * view.line_step + pixel * view.pixel_step
        start = b.let(anew(start + panel.group * self._group_step, panel.channel))
        rows = [start + i * view.pixel_step for i in range(size)]
        tile = SumTile(b, size, run.widths)
        self._start(tile, inputs, panel, self._correction(part, panel.group, line, pixel))

        to = self.product.placement or Placement(grid.lines * grid.pixels, grid.pixels, 1)
        row = part.image * to.image_step + (part.line + line) * to.line_step
        row = row + (part.pixel + pixel) * to.pixel_step + to.first
        place = self.output.place(b.let(row), panel.channel)
        for i in range(size):
            self.output.fetch_addend(place.moved(i * to.pixel_step, 0), run.packed_columns)
        weights = self._packed_panel(panel)
        add_products(b, self.dot, self.product.depth, tile, weights, inputs.buffer, rows)
        first = b.let(panel.packed + self.constants.first_column)
        for group in store_groups(run):
            vectors = range(group.first, group.first + group.count)
            factors = [
                b.let(b.load(self.constants.multipliers, first + place, group.lanes))
                for place in range(group.packed, group.packed + group.width, group.lanes)
            ]
            for i in range(size):
                sums = [tile.get(i, vector) for vector in vectors]
                moved = place.moved(i * to.pixel_step, group.column)
                self.output.write(sums, factors, group.lanes, moved, grid.columns)

    def _packed_panel(self, panel: _Panel) -> PackedPanel:
        b, constants, run = self.b, self.constants, panel.run
        depth = self.product.depth.steps(self.dot) * self.dot.taps
        start = b.let(panel.packed * depth + constants.first_weight)
        ahead = None
        if self.plan.fetches_weights:
            size = run.packed_columns * depth
            columns = self.product.grid.groups * packed_columns(self.plan.runs)
            last = constants.first_weight + columns * depth - size
            ahead = b.let(minimum(size, last - start))
        zero_point = self.product.problem.weights_zero_point
        return PackedPanel(run, constants.weights, start, zero_point, ahead)

    def _start(self, tile: SumTile, inputs: _Inputs, panel: _Panel, place: Expr) -> None:
        b, run = self.b, panel.run
        starts = zip(run.packed_starts(), run.widths, strict=True)
        first = b.let(panel.packed + self.constants.first_column)
        values = self.constants.bias
        bias = [b.let(b.load(values, first + start, lanes)) for start, lanes in starts]
        tile.fill(bias)
        if inputs.corrections is None:
            return
        for i in range(tile.rows):
            correction = b.let(b.load(inputs.corrections, place + i))
            for column, lanes in enumerate(run.widths):
                tile.put(i, column, bias[column] + broadcast(correction, lanes))
