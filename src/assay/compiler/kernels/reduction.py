"""Sum, mean, maximum and minimum along neighbouring axes, float32.

Where axes follow the reduced ones, vectors lie along those; where none do, a vector holds partial
results of one reduction, which are combined at its end, those of a few rows together. In both cases
several of them are in flight, so that the latency of an addition does not count; and sums lose the
less to rounding.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from tvm import tirx

from assay.compiler.kernels.builder import (
    Buffer,
    Expr,
    KernelBuilder,
    RegisterTile,
    broadcast,
    constant,
    maximum,
    minimum,
)
from assay.compiler.kernels.epilogue import Epilogue
from assay.compiler.kernels.epilogue_writer import EpilogueWriter, Pixels
from assay.compiler.kernels.panels import PanelRun, split_columns
from assay.compiler.kernels.shuffles import folded_rows
from assay.compiler.kernels.splits import floor_power_of_two
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

IN_FLIGHT = 8  # vectors: latency of an addition times additions per cycle
_ROWS = 4  # of which a vector of results is made
LARGEST = 3.4028234663852886e38

_COMBINE: dict[str, tuple[float, Callable[[Expr, Expr], Expr]]] = {
    "max": (-LARGEST, maximum),
    "mean": (0.0, operator.add),
    "min": (LARGEST, minimum),
    "sum": (0.0, operator.add),
}


@dataclass(frozen=True)
class Reduction:
    """[outer, size, inner] to [outer, inner]. Parameters: input, epilogue operands, output.

    Results along the last axis are a single row, [1, outer], to the epilogue.
    """

    kind: str
    outer: int
    size: int
    inner: int
    epilogue: Epilogue = field(default=Epilogue())

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Shape of the input."""
        return (self.outer, self.size, self.inner)

    @property
    def output_shape(self) -> tuple[int, int]:
        """Shape of the output."""
        return (1, self.outer) if self.inner == 1 else (self.outer, self.inner)


def applicable(problem: Reduction) -> bool:
    """Tell whether the kernel knows the kind."""
    return problem.kind in _COMBINE


def generate(problem: Reduction, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`Reduction` says."""
    b, p = KernelBuilder(), problem
    source = b.parameter("input", p.input_shape)
    epilogue = EpilogueWriter(b, p.epilogue, p.output_shape, sums_start=False)
    output = b.parameter("output", p.epilogue.stored_shape(p.output_shape))
    elements = p.outer * p.size * p.inner
    tasks = task_count(isa, parallel, elements, 4 * elements)
    writer = _ReductionWriter(b, p, isa, source, epilogue, output)
    writer.along_lanes(tasks) if p.inner == 1 else writer.across_lanes(tasks)
    return b.function(name)


@dataclass(frozen=True)
class _ReductionWriter:
    b: KernelBuilder
    p: Reduction
    isa: Isa
    source: Buffer
    epilogue: EpilogueWriter
    output: Buffer

    def across_lanes(self, tasks: int) -> None:
        """Reduce vectors of neighbouring results, a panel of them at a time."""
        b, p = self.b, self.p
        vectors = -(-p.inner // self.isa.lanes())
        width = max(1, min(IN_FLIGHT, vectors // tasks if p.outer < tasks else vectors))
        loop = b.parallel if tasks > 1 and p.outer >= tasks else b.serial
        with loop(p.outer) as outer:
            first = b.let(outer * (p.size * p.inner))
            for run in split_columns(p.inner, self.isa.lanes(), width):
                share = b.parallel if tasks > 1 and p.outer < tasks else b.serial
                with share(run.count) as panel:
                    column = b.let(run.start + panel * run.packed_columns)
                    tile = self._panel(run, first + column)
                    self._write(tile, run, outer, column)

    def along_lanes(self, tasks: int) -> None:
        """Reduce rows to one number each, a few rows at a time: results fill a vector then."""
        b, p = self.b, self.p
        lanes = min(self.isa.lanes(), floor_power_of_two(p.size))
        rows = floor_power_of_two(min(_ROWS, lanes, p.outer))
        combine = _COMBINE[p.kind][1]
        loop = b.parallel if tasks > 1 else b.serial
        with loop(-(-p.outer // rows)) as index:
            row = b.let(minimum(index * rows, p.outer - rows))
            sums = self._side_by_side(b.let(row * p.size), rows, lanes)
            tile = b.registers(1, [rows])
            tile.put(0, 0, folded_rows(b, sums, lanes, combine))
            self._write(tile, PanelRun(0, 1, ((0, rows),), 0, 0), 0, row)

    def _side_by_side(self, first: Expr, rows: int, lanes: int) -> list[Expr]:
        """Return a vector of partial results for each of ``rows`` neighbouring rows."""
        b, p = self.b, self.p
        neutral, combine = _COMBINE[p.kind]
        full = p.size // lanes
        parts = max(1, min(IN_FLIGHT // rows, full))
        tile = b.registers(rows * parts, [lanes])
        tile.fill([constant(neutral, lanes)])

        def take(part: int, start: Expr, counted: int = 0) -> None:
            """Combine with ``lanes`` elements of each row but the ``counted`` first of them."""
            for row in range(rows):
                value = b.load(self.source, first + (row * p.size + start), lanes)
                if counted and combine is operator.add:
                    value = tirx.Select(_lanes_from(counted, lanes), value, constant(0.0, lanes))
                number = part * rows + row
                tile.put(number, 0, combine(tile.get(number, 0), value))

        with b.serial(full // parts, carry=tile) as index:
            for part in range(parts):
                take(part, (index * parts + part) * lanes)
        for part in range(full % parts):
            take(part, (full - full % parts + part) * lanes)
        rest = p.size % lanes
        if rest:
            take(full % parts, p.size - lanes, lanes - rest)
        found = []
        for row in range(rows):
            values = [tile.get(part * rows + row, 0) for part in range(parts)]
            found.append(b.let(reduce(combine, values)))
        return found

    def _panel(self, run: PanelRun, first: Expr) -> RegisterTile:
        """Combine all rows of a panel into the first of a tile."""
        b, size, step = self.b, self.p.size, self.p.inner
        neutral, combine = _COMBINE[self.p.kind]
        rows = max(1, min(IN_FLIGHT // len(run.vectors), size))
        tile = b.registers(rows, run.widths)
        tile.fill([constant(neutral, lanes) for lanes in run.widths])

        def take(row: int, index: Expr) -> None:
            for q, (offset, lanes) in enumerate(run.vectors):
                value = b.load(self.source, first + index * step + offset, lanes)
                tile.put(row, q, combine(tile.get(row, q), value))

        with b.serial(size // rows, carry=tile) as index:
            for row in range(rows):
                take(row, index * rows + row)
        for rest in range(size - size % rows, size):
            take(0, rest)
        tile.combine_rows(combine)
        return tile

    def _write(self, tile: RegisterTile, run: PanelRun, outer: Expr, column: Expr) -> None:
        if self.p.kind == "mean":
            for q, lanes in enumerate(run.widths):
                size = broadcast(constant(float(self.p.size)), lanes)
                tile.put(0, q, tile.get(0, q) / size)
        self.epilogue.write_tile(tile, self.output, Pixels(outer, 1, 1), outer, column, run.vectors)


def _lanes_from(first: int, lanes: int) -> Expr:
    """Return the condition that holds in the lanes from ``first`` on."""
    numbers = tirx.Ramp(tirx.IntImm("int32", 0), tirx.IntImm("int32", 1), lanes)
    return tirx.GE(numbers, constant(first, lanes, "int32"))
