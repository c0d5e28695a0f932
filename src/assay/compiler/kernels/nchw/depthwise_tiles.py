"""Register tiles of depthwise convolution in NCHW: a few rows of a plane by one vector of columns.

What a column of the window sees of an image line is one vector, used for all rows that
see the line. Tiles whose windows leave the image are code of their own, in which the taps that
exist are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from tvm import tirx

from assay.compiler.kernels.builder import (
    Buffer,
    Expr,
    KernelBuilder,
    RegisterTile,
    broadcast,
)
from assay.compiler.kernels.nchw.epilogue_writer import PlaneEpilogueWriter
from assay.compiler.kernels.nchw.lines import ImageLine
from assay.compiler.kernels.nchw.unrolled import LineRun, line_runs
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.splits import ceil_power_of_two, column_vectors
from assay.compiler.kernels.windows import OutputTiles, Window, tile_outputs
from assay.compiler.target import Isa

MOST_ROWS = 8  # of a tile: as many sums as hide the latency of two products at a time
MOST_PRODUCTS = 1024  # vector products in the code of all tiles; more takes long to compile


@dataclass(frozen=True)
class PlaneTiles:
    """How a plane of outputs is cut: tiles of rows, each by vectors of columns."""

    rows: tuple[OutputTiles, ...]
    columns: tuple[LineRun, ...]

    @classmethod
    def of(cls, problem: Conv2d, isa: Isa) -> PlaneTiles | None:
        """Return the tallest tiles that registers hold; None if their code is too long.

        Sums, the vectors of one column of the window, a weight and a constant share the registers.
        """
        rows = problem.rows
        columns = _columns(problem.columns, isa.lanes())
        taps = problem.kernel_h * problem.kernel_w
        for most in range(min(MOST_ROWS, rows.out_size), 0, -1):
            taken = most + _lines(rows, most) + 2
            runs = tile_outputs(rows, most)
            products = len(columns) * taps * sum(run.size for run in runs)
            if (taken <= isa.registers or most == 1) and products <= MOST_PRODUCTS:
                return cls(runs, columns)
        return None


def _lines(rows: Window, outputs: int) -> int:
    """Return how many image lines some outputs side by side see."""
    pairs = product(range(outputs), range(rows.kernel))
    lines = {row * rows.stride + tap * rows.dilation for row, tap in pairs}
    return min(len(lines), rows.in_size)


def _columns(columns: Window, lanes: int) -> tuple[LineRun, ...]:
    """Cover a row with vectors; one that fits a vector leaves the last lanes without an output."""
    width = ceil_power_of_two(columns.out_size)
    if width <= lanes:
        return (LineRun(0, 1, width),)
    return line_runs(columns, range(columns.kernel), lanes)


@dataclass(frozen=True)
class TileWriter:
    """Writes planes of ``p``, one at a time, as ``tiles`` cut them."""

    b: KernelBuilder
    p: Conv2d
    tiles: PlaneTiles
    source: Buffer
    weights: Buffer
    epilogue: PlaneEpilogueWriter
    output: Buffer

    def planes(self, image: Expr, batch: Expr, channel: Expr) -> None:
        """Write the planes that see the input plane at ``image``, which is number ``channel``."""
        b, multiplier = self.b, self.p.out_c // self.p.in_c
        with b.serial(multiplier) as copy:
            self._plane(image, batch, b.let(channel * multiplier + copy))

    def _plane(self, image: Expr, batch: Expr, channel: Expr) -> None:
        b, p = self.b, self.p
        taps = p.kernel_h * p.kernel_w
        first = b.let(channel * taps)
        weights = [b.let(b.load(self.weights, first + tap)) for tap in range(taps)]
        for rows in self.tiles.rows:
            with b.serial(rows.count) as index:
                for run in self.tiles.columns:
                    with b.serial(run.count) as turn:
                        down, right = rows.size * index, run.lanes * turn
                        corner = image + down * (p.stride_h * p.in_w) + right * p.stride_w
                        pixel = b.let(down * p.out_w + right)
                        tile = _Tile(self, rows, run, weights, batch, channel, pixel)
                        tile.write(b.let(corner))


@dataclass(frozen=True)
class _Tile:
    """One tile of ``rows`` and ``run``; ``pixel`` is how far it is from the first of them."""

    writer: TileWriter
    rows: OutputTiles
    run: LineRun
    weights: Sequence[Expr]
    batch: Expr
    channel: Expr
    pixel: Expr

    def write(self, corner: Expr) -> None:
        """Sum up and store; ``corner`` is where the plane starts, moved on with the tile.

        Products of one tap go to all rows in turn, so that none waits for the one before.
        """
        b, p, lanes = self.writer.b, self.writer.p, self.run.lanes
        sums = b.registers(self.rows.size, [lanes])
        sums.fill([self.writer.epilogue.start(self.channel, lanes)])
        seen = {
            (row, tap): p.rows.source(self.rows.start + row, tap)
            for row, tap in product(range(self.rows.size), range(p.kernel_h))
            if p.rows.inside(self.rows.start + row, tap)
        }
        lines = {at: self._line(corner, at) for at in sorted(set(seen.values()))}
        for column in range(p.kernel_w):
            values = {at: self._value(line, column) for at, line in lines.items()}
            for tap in range(p.kernel_h):
                weight = broadcast(self.weights[tap * p.kernel_w + column], lanes)
                for row in range(self.rows.size):
                    value = values[seen[row, tap]] if (row, tap) in seen else None
                    if value is not None:
                        sums.add_product(row, 0, value, weight)
        if self.writer.epilogue.is_long:
            self._finish_in_loop(sums)
        else:
            for row in range(self.rows.size):
                self._finish(sums.get(row, 0), row)

    def _line(self, corner: Expr, at: int) -> ImageLine:
        w, rows, run = self.writer, self.rows, self.run
        p = w.p
        lowest = at + (rows.count - 1) * rows.size * p.stride_h
        right = (run.count - 1) * run.lanes * p.stride_w
        low, high = -at * p.in_w, (p.in_h - lowest) * p.in_w - right
        return ImageLine(w.b, w.source, corner + at * p.in_w, low, high)

    def _value(self, line: ImageLine, column: int) -> Expr | None:
        """Return what the tile sees of a line through a column of the window, if anything."""
        p, run = self.writer.p, self.run
        return line.seen(p.columns, column, run.start, min(run.lanes, p.out_w), run.lanes)

    def _finish(self, value: Expr, row: int) -> None:
        """Apply the epilogue to a row's sums and store them."""
        for start, lanes in self._pieces(row):
            piece = value
            if lanes < self.run.lanes:
                piece = tirx.Shuffle(
                    [value], [tirx.IntImm("int32", start + lane) for lane in range(lanes)]
                )
            self._store(piece, self._place(row) + start, lanes)

    def _finish_in_loop(self, sums: RegisterTile) -> None:
        """Finish a copy of all sums: a long epilogue appears once for all rows that are alike."""
        b, lanes, size = self.writer.b, self.run.lanes, self.rows.size
        copy = b.workspace("copy", size * lanes)
        for row in range(size):
            b.store(copy, row * lanes, sums.get(row, 0), lanes)
        whole = [row for row in range(size) if self._pieces(row) == ((0, lanes),)]
        with b.serial(len(whole)) as row:
            value = b.let(b.load(copy, row * lanes, lanes))
            self._store(value, self._place(0) + row * self.writer.p.out_w, lanes)
        for row in range(len(whole), size):
            for start, some in self._pieces(row):
                value = b.let(b.load(copy, row * lanes + start, some))
                self._store(value, self._place(row) + start, some)

    def _store(self, value: Expr, pixel: Expr, lanes: int) -> None:
        w = self.writer
        w.epilogue.write(value, w.output, self.batch, self.channel, w.b.let(pixel), lanes)

    def _place(self, row: int) -> Expr:
        return self.pixel + ((self.rows.start + row) * self.writer.p.out_w + self.run.start)

    def _pieces(self, row: int) -> tuple[tuple[int, int], ...]:
        """Return the vectors, (first column, lanes), by which a row is stored.

        Lanes without an output are overwritten by the next row, if the plane goes on so far.
        """
        p, lanes = self.writer.p, self.run.lanes
        last = self.rows.start + (self.rows.count - 1) * self.rows.size + row
        if lanes <= p.out_w or last * p.out_w + lanes <= p.out_h * p.out_w:
            return ((0, lanes),)
        return column_vectors(p.out_w, lanes)
