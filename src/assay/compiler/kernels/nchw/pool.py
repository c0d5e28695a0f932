"""Maximum and average pooling in NCHW, with any window and padding.

One output row of a plane at a time. The image lines that it sees are combined first, as vectors of
their columns, and then what the columns of the window see of the result: shuffles of those vectors
in registers, or, where these would be too much code, loads of a line in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from math import prod
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
)
from assay.compiler.kernels.nchw.epilogue_writer import PlaneEpilogueWriter
from assay.compiler.kernels.nchw.gather import gather, picked, spanning
from assay.compiler.kernels.nchw.unrolled import LineRun, line_places, line_runs, write_constant
from assay.compiler.kernels.panels import split_columns
from assay.compiler.kernels.pool import LOWEST, Pool2d
from assay.compiler.kernels.splits import ceil_power_of_two
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

MOST_SHUFFLES = 256  # in the code of a row


def applicable(problem: Pool2d) -> bool:
    """Tell whether activations are NCHW."""
    return problem.layout == "NCHW"


def generate(problem: Pool2d, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`Pool2d` says."""
    b = KernelBuilder()
    p = problem
    source = b.parameter("input", p.input_shape)
    epilogue = PlaneEpilogueWriter(b, p.epilogue, p.output_shape, sums_start=False)
    output = b.parameter("output", p.epilogue.stored_shape(p.output_shape))
    moved = 4 * (prod(p.input_shape) + prod(p.output_shape))
    tasks = task_count(isa, parallel, p.flops, moved)
    counts = _write_counts(b, p)
    loop = b.parallel if tasks > 1 else b.serial
    with loop(p.batch * p.channels) as plane:
        writer = _PlaneWriter(b, isa.lanes(), p, source, counts, epilogue, output, plane)
        writer.write()
    return b.function(name)


def _write_counts(b: KernelBuilder, p: Pool2d) -> Buffer | None:
    """Write how many taps of each output column are on the image, if results depend on that."""
    whole = p.rows.complete_outputs() == range(p.out_h)
    whole = whole and p.columns.complete_outputs() == range(p.out_w)
    if p.kind == "max" or p.border is not None or whole:
        return None
    counts = b.workspace("counts", p.out_w)
    with b.serial(p.out_w) as column:
        taps = p.columns.taps(b, column)[1]
        b.store(counts, column, tirx.Cast("float32", taps) if p.out_w > 1 else _number(taps))
    return counts


@dataclass(frozen=True)
class _Rows:
    """``count`` output rows from ``first`` on; all their taps are on the image if ``complete``."""

    first: int
    count: int
    complete: bool


@dataclass(frozen=True)
class _PlaneWriter:
    b: KernelBuilder
    lanes: int
    p: Pool2d
    source: Buffer
    counts: Buffer | None
    epilogue: PlaneEpilogueWriter
    output: Buffer
    plane: Expr

    def write(self) -> None:
        """Write a plane; its last row is one by itself, if vectors are wider than rows."""
        b, p = self.b, self.p
        runs = line_runs(p.columns, range(p.kernel_w), self.lanes)
        if len(runs) * p.kernel_w > MOST_SHUFFLES:
            space = self._empty_line()
            for rows in self._rows(p.out_h):
                with b.serial(rows.count) as index:
                    self._row_in_memory(space, b.let(rows.first + index), rows.complete)
            return
        wide = ceil_power_of_two(p.out_w)
        last = p.out_h
        if len(runs) > 1 and wide <= self.lanes:
            last -= 1
        for rows in self._rows(last):
            with b.serial(rows.count) as index:
                row = b.let(rows.first + index)
                self._row(row, rows.complete, runs if last == p.out_h else (LineRun(0, 1, wide),))
        if last < p.out_h:
            self._row(last, last in p.rows.complete_outputs(), runs)

    def _rows(self, end: int) -> Iterator[_Rows]:
        """Yield the rows before ``end``; the windows of neighbours leave the image, or do not."""
        complete = self.p.rows.complete_outputs()
        start, stop = min(complete.start, end), min(complete.stop, end)
        yield _Rows(0, start, False)
        yield _Rows(start, stop - start, True)
        yield _Rows(stop, end - stop, False)

    def _row(self, row: Expr, complete: bool, runs: tuple[LineRun, ...]) -> None:
        """Write a row; lanes beyond its end are overwritten by the next."""
        b, p, columns = self.b, self.p, self.p.columns
        line, taps = self._lines(row, complete)
        for run in runs:
            outputs = min(run.lanes, p.out_w)
            places = [line_places(columns, tap, run.start, outputs) for tap in range(p.kernel_w)]
            seen = [place for each in places for place in each if place is not None]
            with b.serial(run.count) as turn:
                base = b.let(line + turn * (run.lanes * p.stride_w))
                starts, width = spanning(seen, run.lanes)
                mixed = self._mixed(base, taps, starts, width)
                values = []
                for each in places:
                    lanes = [*each, *each[-1:] * (run.lanes - outputs)]
                    values.append(b.let(picked(mixed, starts, width, lanes, self._beside)))
                value = reduce(self._combine, values)
                self._finish(value, row, b.let(run.start + turn * run.lanes), run.lanes, taps)

    def _row_in_memory(self, space: Buffer, row: Expr, complete: bool) -> None:
        """Write a row from combined image lines that are in ``space`` for a while."""
        b, p = self.b, self.p
        line, taps = self._lines(row, complete)
        with b.vectors(self._seen_columns, self.lanes) as (first, lanes):
            (value,) = self._mixed(b.let(line + first), taps, [0], lanes)
            b.store(space, first + p.pad_left, value, lanes)
        for run in split_columns(p.out_w, self.lanes, 1):
            lanes = run.packed_columns
            with b.serial(run.count) as turn:
                column = b.let(run.start + turn * lanes)
                tile = b.registers(1, [lanes])
                tile.fill([constant(self._nothing, lanes)])
                with b.serial(p.kernel_w, carry=tile) as tap:
                    base = b.let(column * p.stride_w + tap * p.dilation_w)
                    value = gather(b, space, base, range(0, lanes * p.stride_w, p.stride_w))
                    tile.put(0, 0, self._combine(tile.get(0, 0), value))
                self._finish(tile.get(0, 0), row, column, lanes, taps)

    def _empty_line(self) -> Buffer:
        """Return memory for a line and what windows see beside it, which is written once."""
        b, p = self.b, self.p
        size = (p.out_w - 1) * p.stride_w + (p.kernel_w - 1) * p.dilation_w + 1
        space = b.workspace("line", max(size, p.pad_left + self._seen_columns))
        write_constant(b, space, 0, size, self.lanes, self._beside)
        return space

    @property
    def _seen_columns(self) -> int:
        """Columns of the image up to the last that a window sees; all if none does."""
        p = self.p
        last = (p.out_w - 1) * p.stride_w + (p.kernel_w - 1) * p.dilation_w - p.pad_left
        return min(p.in_w, max(last + 1, 1))

    def _lines(self, row: Expr, complete: bool) -> tuple[Expr, Expr]:
        """Return where the first line that a row sees begins in the source, and their number."""
        b, p = self.b, self.p
        tap, count = (0, p.kernel_h) if complete else p.rows.taps(b, row)
        line = row * p.stride_h + tap * p.dilation_h - p.pad_top
        return b.let((self.plane * p.in_h + line) * p.in_w), count

    def _mixed(self, base: Expr, taps: Expr, starts: list[int], width: int) -> list[Expr]:
        """Return vectors of ``taps`` lines combined, at some columns from ``base`` on."""
        b, p = self.b, self.p
        tile = b.registers(1, [width] * len(starts))
        nothing, beside = constant(self._nothing), constant(self._beside)
        if isinstance(taps, int):
            first = nothing if taps == p.kernel_h else beside
        else:
            first = b.let(tirx.Select(tirx.LT(taps, p.kernel_h), beside, nothing))
        tile.fill([broadcast(first, width) for _ in starts])
        with b.serial(taps, carry=tile) as tap:
            line = b.let(base + tap * (p.dilation_h * p.in_w))
            for index, start in enumerate(starts):
                value = b.load(self.source, line + start, width)
                tile.put(0, index, self._combine(tile.get(0, index), value))
        return [tile.get(0, index) for index in range(len(starts))]

    @property
    def _nothing(self) -> float:
        """What does not change a result."""
        return LOWEST if self.p.kind == "max" else 0.0

    @property
    def _beside(self) -> float:
        """What pixels beside the image are."""
        border = self.p.border
        return self._nothing if border is None else max(border, LOWEST)

    def _combine(self, left: Expr, right: Expr) -> Expr:
        return maximum(left, right) if self.p.kind == "max" else left + right

    def _finish(self, value: Expr, row: Expr, column: Expr, lanes: int, taps: Expr) -> None:
        """Divide sums by how many pixels they are of, and store."""
        b, p = self.b, self.p
        if p.kind == "average":
            value = value / self._divisor(column, lanes, taps)
        tile: RegisterTile = b.registers(1, [lanes])
        tile.put(0, 0, value)
        batch, channel = b.let(self.plane // p.channels), b.let(self.plane % p.channels)
        pixel = b.let(row * p.out_w + column)
        self.epilogue.write_tile(tile, self.output, batch, channel, pixel, [(0, lanes)])

    def _divisor(self, column: Expr, lanes: int, taps: Expr) -> Expr:
        b, p = self.b, self.p
        if self.counts is None:
            return constant(float(p.kernel_h * p.kernel_w), lanes)
        across = b.load(self.counts, column, lanes)
        down = constant(float(taps)) if isinstance(taps, int) else tirx.Cast("float32", taps)
        return maximum(across * broadcast(b.let(down), lanes), constant(1.0, lanes))


def _number(value: Expr) -> Expr:
    return constant(float(value)) if isinstance(value, int) else tirx.Cast("float32", value)
