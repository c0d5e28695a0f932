"""Matrix products of two tensors that are both computed, one for each batch item, float32.

The right matrix is packed panel by panel while the kernel runs, transposed on the way if need be,
and each panel then meets all rows of the left one; with a single tile of rows, a panel is read
where it is. Operands are views: transposes of them, and of the result, cost no pass of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, within
from assay.compiler.kernels.epilogue import Epilogue
from assay.compiler.kernels.epilogue_writer import EpilogueWriter, Pixels
from assay.compiler.kernels.microkernel import add_products
from assay.compiler.kernels.panels import PanelRun, panel_count, split_columns
from assay.compiler.kernels.shuffles import transposed
from assay.compiler.kernels.splits import EvenSplit, split_evenly
from assay.compiler.kernels.tiles import choose_tile
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa


@dataclass(frozen=True)
class View:
    """A parameter's shape, and how many elements it moves by for each index of the product.

    Indices are the batch axes, then row and column of the matrix; 0 where the operand repeats.
    """

    shape: tuple[int, ...]
    steps: tuple[int, ...]


@dataclass(frozen=True)
class BatchMatmul:
    """[*batch, rows, depth] x [*batch, depth, columns].

    Rows of the result have ``columns`` elements side by side; row (*batch, row) is number
    ``sum(index * step)`` of the output, by ``row_steps``. Kernel parameters, in order: left, right,
    epilogue operands, output.
    """

    batch: tuple[int, ...]
    rows: int
    depth: int
    columns: int
    left: View
    right: View
    output_shape: tuple[int, ...]
    row_steps: tuple[int, ...]
    epilogue: Epilogue = field(default=Epilogue())

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of the left tensor."""
        return self.left.shape

    @property
    def flops(self) -> int:
        """Two for each multiply-add."""
        return 2 * prod(self.batch) * self.rows * self.depth * self.columns


def applicable(problem: BatchMatmul) -> bool:
    """Tell whether the kernel fits: nothing may be empty, and the output is a tensor by itself."""
    sizes = (*problem.batch, problem.rows, problem.depth, problem.columns)
    return min(sizes) > 0 and problem.epilogue.inside is None


def generate(problem: BatchMatmul, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`BatchMatmul` says."""
    b, p = KernelBuilder(), problem
    left = b.parameter("left", p.left.shape)
    right = b.parameter("right", p.right.shape)
    epilogue = EpilogueWriter(b, p.epilogue, p.output_shape)
    output = b.parameter("output", p.output_shape)
    tile = choose_tile(isa, p.rows, p.columns, p.depth)
    runs = split_columns(p.columns, isa.lanes(), tile.vectors)
    tiles = split_evenly(p.rows, tile.rows)
    moved = 4 * (prod(p.left.shape) + prod(p.right.shape) + prod(p.output_shape))
    tasks = task_count(isa, parallel, p.flops, moved)
    _Writer(b, p, runs, tiles, left, right, epilogue, output).write(tasks)
    return b.function(name)


@dataclass(frozen=True)
class _Writer:
    b: KernelBuilder
    p: BatchMatmul
    runs: tuple[PanelRun, ...]
    tiles: EvenSplit
    left: Buffer
    right: Buffer
    epilogue: EpilogueWriter
    output: Buffer

    @property
    def packs(self) -> bool:
        """Whether panels are copied: they are used again, or their columns lie apart."""
        return self.tiles.tiles > 1 or self.p.right.steps[-1] != 1

    def write(self, tasks: int) -> None:
        """Deal out batch items, or panels of all items if there are more threads than items."""
        b, items = self.b, prod(self.p.batch)
        by_item = items >= tasks
        panels = panel_count(self.runs)
        loop = b.parallel if tasks > 1 else b.serial
        with loop(items if by_item else items * panels) as index:
            item = index if by_item else b.let(index // panels)
            chosen = b.let(index % panels)
            for run in self.runs:
                if by_item:
                    with b.serial(run.count) as panel:
                        self._panel(run, item, panel)
                    continue
                with b.when(within(chosen, run.first, run.first + run.count)):
                    self._panel(run, item, b.let(chosen - run.first))

    def _panel(self, run: PanelRun, item: Expr, panel: Expr) -> None:
        b, p = self.b, self.p
        column = b.let(run.start + panel * run.packed_columns)
        depth_step, column_step = p.right.steps[-2:]
        first = b.let(self._place(item, p.right.steps[:-2]) + column * column_step)
        if not self.packs:
            places = tuple((offset, lanes) for offset, lanes in run.vectors)
            self._rows(run, item, column, (self.right, first, depth_step, places))
            return
        packed = b.workspace("panel", p.depth * run.packed_columns)
        for start, (offset, lanes) in zip(run.packed_starts(), run.vectors, strict=True):
            self._pack(packed, start, run.packed_columns, first + offset * column_step, lanes)
        places = tuple(zip(run.packed_starts(), run.widths, strict=True))
        self._rows(run, item, column, (packed, 0, run.packed_columns, places))

    def _pack(self, packed: Buffer, start: int, width: int, first: Expr, lanes: int) -> None:
        """Copy ``lanes`` columns of the right matrix to every ``width`` elements from ``start``."""
        b, depth, right = self.b, self.p.depth, self.right
        depth_step, column_step = self.p.right.steps[-2:]
        if column_step == 1:
            with b.serial(depth) as k:
                value = b.load(right, first + k * depth_step, lanes)
                b.store(packed, start + k * width, value, lanes)
        elif depth_step == 1 and depth >= lanes:
            with b.vectors(depth, lanes) as (k, _):
                columns = [
                    b.let(b.load(right, first + c * column_step + k, lanes)) for c in range(lanes)
                ]
                for index, value in enumerate(transposed(b, columns)):
                    b.store(packed, start + (k + index) * width, value, lanes)
        else:
            with b.serial(depth) as k, b.serial(lanes) as c:
                value = b.load(right, first + k * depth_step + c * column_step)
                b.store(packed, start + k * width + c, value)

    def _rows(
        self,
        run: PanelRun,
        item: Expr,
        column: Expr,
        panel: tuple[Buffer, Expr, int, tuple[tuple[int, int], ...]],
    ) -> None:
        """Multiply all rows by a panel: its buffer, start, step of depth, and (place, lanes)."""
        b, p = self.b, self.p
        buffer, first, step, places = panel
        row_step, depth_step = p.left.steps[-2:]
        line = b.let(self._place(item, p.left.steps[:-2]))
        number = b.let(self._place(item, p.row_steps[:-1]))
        batch = b.let(item // prod(p.batch[1:]))
        for start, count, size in self.tiles.parts():
            with b.serial(count) as index:
                row = b.let(start + index * size)
                tile = b.registers(size, run.widths)
                self.epilogue.start_tile(tile, column, run.vectors)
                corner = b.let(line + row * row_step)
                with b.serial(p.depth, carry=tile) as k:
                    inputs = [(i, corner + i * row_step + k * depth_step) for i in range(size)]
                    at = b.let(first + k * step)
                    vectors = [(at + place, lanes) for place, lanes in places]
                    add_products(b, tile, (buffer, vectors), (self.left, inputs))
                pixel = b.let(number + row * p.row_steps[-1])
                pixels = Pixels(pixel, 1, size, column_step=p.row_steps[-1])
                self.epilogue.write_tile(tile, self.output, pixels, batch, column, run.vectors)

    def _place(self, item: Expr, steps: tuple[int, ...]) -> Expr:
        """Return how far a batch item moves a view."""
        place: Expr = 0
        inner = 1
        for size, step in zip(reversed(self.p.batch), reversed(steps), strict=True):
            if step and size > 1:
                place = place + self.b.let(item // inner % size) * step
            inner *= size
        return place
