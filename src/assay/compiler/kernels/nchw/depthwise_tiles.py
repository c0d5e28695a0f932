"""Register tiles of depthwise convolution in NCHW: a few rows of a plane by one vector of columns.

What a column of the window sees of an image line is one vector, used for all rows that see the
line. Tiles whose windows leave the image are code of their own, in which the taps that exist are
known.

With a stride along the line, each output is the total of as many sums as the stride, side by side:
one for each column of the image up to the next output. Vectors of pixels are multiplied as they
lie in memory, by as many weights in turn, and sums are brought together in the end. Where the
window has no column, both are zero: an infinite pixel beside a window does not make it NaN.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from assay.compiler.kernels.builder import (
    Buffer,
    Expr,
    KernelBuilder,
    RegisterTile,
    broadcast,
    constant,
)
from assay.compiler.kernels.epilogue_writer import LINE_FLOATS
from assay.compiler.kernels.nchw.epilogue_writer import PlaneEpilogueWriter
from assay.compiler.kernels.nchw.lines import ImageLine, shuffled
from assay.compiler.kernels.nchw.unrolled import LineRun, line_runs
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.splits import ceil_power_of_two, column_vectors, floor_power_of_two
from assay.compiler.kernels.windows import OutputTiles, Window, tile_outputs
from assay.compiler.target import Isa

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_ROWS = 8  # of a tile: as many sums as hide the latency of two products at a time
MOST_PRODUCTS = 1024  # vector products in the code of all tiles; more takes long to compile


@dataclass(frozen=True)
class PlaneTiles:
    """How planes of ``problem`` are cut: runs of tiles of rows, each by vectors of columns."""

    problem: Conv2d
    isa: Isa
    rows: tuple[OutputTiles, ...]
    columns: tuple[LineRun, ...]

    @classmethod
    def of(cls, problem: Conv2d, isa: Isa) -> PlaneTiles | None:
        """Return the tallest tiles that registers hold; None if their code is too long.

        Small planes may be one tile. Other tiles are no taller than it takes to hide the latency.
        """
        columns = _columns(problem.columns, isa.lanes())
        heights = range(min(MOST_ROWS, problem.out_h), 0, -1)
        for most in (problem.out_h, *heights) if len(columns) == 1 else heights:
            tiles = cls(problem, isa, tile_outputs(problem.rows, most), columns)
            fits = tiles._registers(most) <= isa.registers or most == 1
            if fits and tiles._products() <= MOST_PRODUCTS:
                return tiles
        return None

    @property
    def shifts(self) -> Mapping[int, Mapping[int, int]]:
        """Columns of the window by how many outputs they are away, and the columns beyond."""
        p = self.problem
        shifts: dict[int, dict[int, int]] = defaultdict(dict)
        for tap in range(p.kernel_w):
            shift, phase = divmod(tap * p.dilation_w, p.stride_w)
            shifts[shift][phase] = tap
        return shifts

    @property
    def weights_size(self) -> int:
        """Elements of the packed weights of one output channel."""
        return self.problem.kernel_h * len(self.shifts) * self.problem.stride_w

    def pack(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring weights [kernel_h, kernel_w, 1, out_c] into [out_c][row][shift][phase]."""
        import numpy as np

        p = self.problem
        packed = np.zeros((p.out_c, p.kernel_h, len(self.shifts), p.stride_w), np.float32)
        for index, taps in enumerate(self.shifts.values()):
            for phase, tap in taps.items():
                packed[:, :, index, phase] = weights[:, tap, 0].T
        return packed.reshape(-1)

    def sums(self, run: LineRun) -> list[tuple[int, int, int]]:
        """Return vectors of sums for a run's outputs, as (first sum, sums, lanes)."""
        stride = self.problem.stride_w
        size = stride * min(run.lanes, self.problem.out_w)
        lanes = min(self.isa.lanes(), floor_power_of_two(stride * run.lanes))
        return [(first, min(lanes, size - first), lanes) for first in range(0, size, lanes)]

    def _registers(self, rows: int) -> int:
        """Count vectors: sums, what one vector of them sees of lines, a weight and a constant."""
        window = self.problem.rows
        pairs = product(range(rows), range(window.kernel))
        lines = {row * window.stride + tap * window.dilation for row, tap in pairs}
        seen = min(len(lines), window.in_size)
        return rows * max(len(self.sums(run)) for run in self.columns) + seen + 2

    def _products(self) -> int:
        """Count vector products in the code of all tiles."""
        rows = sum(tiles.size for tiles in self.rows) * self.problem.kernel_h
        return rows * len(self.shifts) * sum(len(self.sums(run)) for run in self.columns)


def _columns(columns: Window, lanes: int) -> tuple[LineRun, ...]:
    """Cover a row with vectors; one that fits a vector leaves the last lanes without an output."""
    width = ceil_power_of_two(columns.out_size)
    if width <= lanes:
        return (LineRun(0, 1, width),)
    return line_runs(columns, range(columns.kernel), lanes)


@dataclass(frozen=True)
class TileWriter:
    """Writes planes, one at a time."""

    b: KernelBuilder
    tiles: PlaneTiles
    source: Buffer
    weights: Buffer
    epilogue: PlaneEpilogueWriter
    output: Buffer
    fetch: bool

    def planes(self, image: Expr, batch: Expr, channel: Expr) -> None:
        """Write the planes that see the input plane at ``image``, which is number ``channel``."""
        b, p = self.b, self.tiles.problem
        multiplier = p.out_c // p.in_c
        with b.serial(multiplier) as copy:
            self._plane(image, batch, b.let(channel * multiplier + copy))

    def _plane(self, image: Expr, batch: Expr, channel: Expr) -> None:
        b, p = self.b, self.tiles.problem
        first = b.let(channel * self.tiles.weights_size)
        weights = {}
        for index, at in enumerate(product(range(p.kernel_h), self.tiles.shifts)):
            weights[at] = b.let(b.load(self.weights, first + index * p.stride_w, p.stride_w))
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
    weights: Mapping[tuple[int, int], Expr]
    batch: Expr
    channel: Expr
    pixel: Expr

    @property
    def p(self) -> Conv2d:
        """The problem."""
        return self.writer.tiles.problem

    def write(self, corner: Expr) -> None:
        """Sum up and store; ``corner`` is where the plane starts, moved on with the tile.

        Products of one weight go to all rows in turn, so that none waits for the one before.
        """
        b, p, tiles = self.writer.b, self.p, self.writer.tiles
        vectors = tiles.sums(self.run)
        sums = b.registers(self.rows.size, [lanes for _, _, lanes in vectors])
        sums.fill([self._start(first, lanes) for first, _, lanes in vectors])
        seen = {
            (row, tap): p.rows.source(self.rows.start + row, tap)
            for row, tap in product(range(self.rows.size), range(p.kernel_h))
            if p.rows.inside(self.rows.start + row, tap)
        }
        lines = {at: self._line(corner, at) for at in sorted(set(seen.values()))}
        if self.writer.fetch:
            self._fetch(corner, max(lines, default=0) + 1)
        for shift, (index, (first, pixels, lanes)) in product(tiles.shifts, enumerate(vectors)):
            column = (self.run.start + shift) * p.stride_w + first - p.pad_left
            taps = tiles.shifts[shift]
            wanted = [at % p.stride_w in taps for at in range(first, first + pixels)]
            values = {at: line.piece(column, wanted, lanes) for at, line in lines.items()}
            for tap in range(p.kernel_h):
                weight = b.let(self._in_turn(self.weights[tap, shift], first, lanes))
                for row in range(self.rows.size):
                    value = values[seen[row, tap]] if (row, tap) in seen else None
                    if value is not None:
                        sums.add_product(row, index, value, weight)
        if self.writer.epilogue.is_long:
            self._finish_in_loop(sums)
        else:
            for row in range(self.rows.size):
                self._finish(self._total(sums, row), row)

    def _fetch(self, corner: Expr, below: int) -> None:
        """Ask for where results go, and for the lines that the tile below is going to see."""
        w, p, width = self.writer, self.p, self.run.lanes
        for row in range(self.rows.size):
            pixel = w.b.let(self._place(row))
            w.epilogue.prefetch(w.output, self.batch, self.channel, pixel)
        for line in range(below, below + self.rows.size * p.stride_h):
            start = line * p.in_w + self.run.start * p.stride_w
            for first in range(0, width * p.stride_w, LINE_FLOATS):
                w.b.prefetch(w.source, corner + (start + first))

    def _start(self, first: int, lanes: int) -> Expr:
        """Return what sums start from: the first one of each output is not zero."""
        start, stride = self.writer.epilogue.start(self.channel, lanes), self.p.stride_w
        if stride == 1:
            return start
        chosen = [lane + lanes * ((first + lane) % stride > 0) for lane in range(lanes)]
        return shuffled([start, constant(0.0, lanes)], chosen)

    def _in_turn(self, weights: Expr, first: int, lanes: int) -> Expr:
        """Repeat the weights of one output for those of a vector of sums."""
        stride = self.p.stride_w
        if stride == 1:
            return broadcast(weights, lanes)
        copies = [weights] * -(-lanes // stride)  # a shuffle has no more lanes than its vectors
        return shuffled(copies, [(first + lane) % stride for lane in range(lanes)])

    def _total(self, sums: RegisterTile, row: int) -> Expr:
        """Return a row's outputs: add up the sums of each."""
        stride, lanes = self.p.stride_w, self.run.lanes
        vectors = [sums.get(row, index) for index in range(len(sums.widths))]
        if stride == 1:
            return vectors[0]
        phases = {phase for taps in self.writer.tiles.shifts.values() for phase in taps}
        parts = []
        for phase in sorted(phases):
            chosen = range(phase, phase + stride * lanes, stride)
            parts.append(shuffled(vectors, [at if at < sum(sums.widths) else 0 for at in chosen]))
        return self.writer.b.let(sum(parts[1:], parts[0]))

    def _line(self, corner: Expr, at: int) -> ImageLine:
        w, rows, run, p = self.writer, self.rows, self.run, self.p
        lowest = at + (rows.count - 1) * rows.size * p.stride_h
        right = (run.count - 1) * run.lanes * p.stride_w
        low, high = -at * p.in_w, (p.in_h - lowest) * p.in_w - right
        masks = w.tiles.isa.vector_bits == 512
        return ImageLine(w.b, w.source, corner + at * p.in_w, p.in_w, low, high, masks)

    def _finish(self, value: Expr, row: int) -> None:
        """Apply the epilogue to a row of outputs and store them."""
        for start, lanes in self._pieces(row):
            piece = value
            if lanes < self.run.lanes:
                piece = shuffled([value], range(start, start + lanes))
            self._store(piece, self._place(row) + start, lanes)

    def _finish_in_loop(self, sums: RegisterTile) -> None:
        """Finish a copy of all outputs: a long epilogue appears once for rows that are alike."""
        b, lanes, size = self.writer.b, self.run.lanes, self.rows.size
        copy = b.workspace("copy", size * lanes)
        for row in range(size):
            b.store(copy, row * lanes, self._total(sums, row), lanes)
        whole = [row for row in range(size) if self._pieces(row) == ((0, lanes),)]
        with b.serial(len(whole)) as row:
            value = b.let(b.load(copy, row * lanes, lanes))
            self._store(value, self._place(0) + row * self.p.out_w, lanes)
        for row in range(len(whole), size):
            for start, some in self._pieces(row):
                value = b.let(b.load(copy, row * lanes + start, some))
                self._store(value, self._place(row) + start, some)

    def _store(self, value: Expr, pixel: Expr, lanes: int) -> None:
        w = self.writer
        w.epilogue.write(value, w.output, self.batch, self.channel, w.b.let(pixel), lanes)

    def _place(self, row: int) -> Expr:
        return self.pixel + ((self.rows.start + row) * self.p.out_w + self.run.start)

    def _pieces(self, row: int) -> tuple[tuple[int, int], ...]:
        """Return the vectors, (first column, lanes), by which a row is stored.

        Lanes without an output are overwritten by the next row, if the plane goes on so far.
        """
        p, lanes = self.p, self.run.lanes
        last = self.rows.start + (self.rows.count - 1) * self.rows.size + row
        if lanes <= p.out_w or last * p.out_w + lanes <= p.out_h * p.out_w:
            return ((0, lanes),)
        return column_vectors(p.out_w, lanes)
