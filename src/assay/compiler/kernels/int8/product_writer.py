"""The loops of an integer matrix product with packed weights.

Loops, outermost first: parts of the output whose inputs stay in the second-level cache; column
panels; register tiles of pixels; depth. Threads share out either the parts or the panels.
"""

from __future__ import annotations

from dataclasses import dataclass

from assay.compiler.kernels.builder import Buffer, Expr, broadcast, minimum, within
from assay.compiler.kernels.int8.builder import IntegerKernelBuilder
from assay.compiler.kernels.int8.depth import PackedPanel, add_products
from assay.compiler.kernels.int8.dot import Dot
from assay.compiler.kernels.int8.epilogue import OutputWriter, Place
from assay.compiler.kernels.int8.panels import StoreGroup, store_groups
from assay.compiler.kernels.int8.plan import Placement, Plan
from assay.compiler.kernels.int8.product import Constants, Product
from assay.compiler.kernels.int8.sums import SumTile, sum_inputs
from assay.compiler.kernels.int8.vectors import anew
from assay.compiler.kernels.int8.views import Part
from assay.compiler.kernels.panels import PanelRun, packed_columns, panel_count


@dataclass(frozen=True)
class Inputs:
    """An opened part: its buffer, where it starts there, what each pixel adds to its sums."""

    part: Part
    first_tile: Expr
    tiles: Expr
    buffer: Buffer
    start: Expr
    corrections: Buffer | None


@dataclass(frozen=True)
class Panel:
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
            self._panels(Inputs(part, tile, tiles, buffer, start, corrections))

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

    def _panels(self, inputs: Inputs) -> None:
        b, groups, runs = self.b, self.product.grid.groups, self.plan.runs
        if self.plan.sharing == "panels":
            panels = panel_count(runs)
            with b.parallel(groups * panels) as index:
                sums = self._begin()
                group, panel = b.let(index // panels), b.let(index % panels)
                for run in runs:
                    with b.when(within(panel, run.first, run.first + run.count)):
                        self._tiles(inputs, self._panel(run, group, panel - run.first), sums)
                self._end()
            return
        sums = self._begin()
        with b.serial(groups) as group:
            for run in runs:
                with b.serial(run.count) as panel:
                    self._tiles(inputs, self._panel(run, group, panel), sums)
        self._end()

    def _begin(self) -> Buffer | None:
        """Do what a thread has to do before its tiles; return a workspace for their sums if any."""
        return None

    def _end(self) -> None:
        """Do what a thread has to do after its tiles."""

    def _panel(self, run: PanelRun, group: Expr, index: Expr) -> Panel:
        before = index * run.packed_columns
        channel = self.b.let(group * self.product.grid.columns + run.start + before)
        packed = group * packed_columns(self.plan.runs) + (run.packed + before)
        return Panel(run, group, channel, self.b.let(packed))

    def _tiles(self, inputs: Inputs, panel: Panel, sums: Buffer | None) -> None:
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

    def _tile(self, inputs: Inputs, panel: Panel, line: Expr, pixel: Expr, size: int) -> None:
        b, view, run = self.b, self.product.view, panel.run
        start = inputs.start + line * view.line_step + pixel * view.pixel_step
        start = b.let(anew(start + panel.group * self._group_step, panel.channel))
        rows = [start + i * view.pixel_step for i in range(size)]
        tile = SumTile(b, size, run.widths)
        correction = self._correction(inputs.part, panel.group, line, pixel)
        self._start(tile, inputs, panel, correction)
        place = self._place(inputs.part, panel, line, pixel)
        for i in range(size):
            self.output.fetch_addend(place.moved(i * self._to.pixel_step, 0), run.packed_columns)
        weights = self._packed_panel(panel)
        add_products(b, self.dot, self.product.depth, tile, weights, inputs.buffer, rows)
        first = b.let(panel.packed + self.constants.first_column)
        for group in store_groups(run):
            vectors = range(group.first, group.first + group.count)
            factors = self._factors(first, group)
            for i in range(size):
                sums = [tile.get(i, vector) for vector in vectors]
                moved = place.moved(i * self._to.pixel_step, group.column)
                self.output.write(sums, factors, group.lanes, moved, self.product.grid.columns)

    @property
    def _to(self) -> Placement:
        grid = self.product.grid
        return self.product.placement or Placement(grid.lines * grid.pixels, grid.pixels, 1)

    def _place(self, part: Part, panel: Panel, line: Expr, pixel: Expr) -> Place:
        """Return where the outputs of a tile go whose first pixel is given relative to the part."""
        to = self._to
        row = part.image * to.image_step + (part.line + line) * to.line_step
        row = row + (part.pixel + pixel) * to.pixel_step + to.first
        return self.output.place(self.b.let(row), panel.channel)

    def _factors(self, first: Expr, group: StoreGroup) -> list[Expr]:
        """Load the multipliers of a group of a panel whose packed columns start at ``first``."""
        places = range(group.packed, group.packed + group.width, group.lanes)
        values = self.constants.multipliers
        return [self.b.let(self.b.load(values, first + place, group.lanes)) for place in places]

    @property
    def _depth_bytes(self) -> int:
        """Bytes of a column of packed weights."""
        return self.product.depth.steps(self.dot) * self.dot.taps

    def _packed_panel(self, panel: Panel) -> PackedPanel:
        b, constants, run = self.b, self.constants, panel.run
        depth = self._depth_bytes
        start = b.let(panel.packed * depth + constants.first_weight)
        ahead = None
        if self.plan.fetches_weights:
            size = run.packed_columns * depth
            columns = self.product.grid.groups * packed_columns(self.plan.runs)
            last = constants.first_weight + columns * depth - size
            ahead = b.let(minimum(size, last - start))
        zero_point = self.product.problem.weights_zero_point
        return PackedPanel(run, constants.weights, start, zero_point, ahead)

    def _start(self, tile: SumTile, inputs: Inputs, panel: Panel, place: Expr) -> None:
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
