"""Convolution with Winograd's method along the rows of the window: fewer multiplications, NHWC.

A strip of m output rows sees, of each phase (row of the window modulo the stride), the input rows
of a convolution of stride 1 with r or r - 1 taps, r = ceil(kernel_h / stride_h). They are
transformed to n = m + r - 1 positions, one row of the image each; phases of r - 1 taps have no
product at the last position, the point at infinity. A position's rows of all phases are then
convolved with the transformed rows of the window, along the image's width, as in :mod:`direct`, and
the sums are transformed back to output rows. A 7x7 window of stride 2 needs 11 of 21 products.

Transforms go along whole rows, so that their vectors are full however few channels the image has.
Relative to the root mean square of the sums, the largest error on random data is below 2e-5.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, constant
from assay.compiler.kernels.epilogue_writer import EpilogueWriter, Pixels
from assay.compiler.kernels.microkernel import add_outer_product
from assay.compiler.kernels.panels import PanelRun, pack_panels, packed_columns, split_columns
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.splits import EvenSplit, split_evenly
from assay.compiler.kernels.tiles import PIPES, choose_tile
from assay.compiler.kernels.winograd import share_on_image
from assay.compiler.kernels.winograd_transforms import apply_data, apply_output, transforms
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

POSITIONS = 6  # five finite points and infinity
SUM_CYCLES = 4  # per vector of sums: to store it, and to transform it back; on Zen 5
DATA_CYCLES = 3  # per vector of transformed data; on Zen 5
WEIGHT_BYTES_PER_CYCLE = 20  # weights are read once per inference, from an outer cache or memory
WORTHWHILE_GAIN = 1.2  # below that, not worth different last bits and larger weights

_Parts = tuple[tuple[int, int, int], ...]


def applicable(problem: Conv2d) -> bool:
    """Tell whether rows of the window have several taps of a phase, and columns no gaps."""
    p = problem
    plain = (p.dilation_h, p.dilation_w, p.groups, p.input_gate, p.layout)
    return plain == (1, 1, 1, False, "NHWC") and 2 <= _taps(p) <= POSITIONS - 1


def worthwhile(problem: Conv2d, isa: Isa) -> bool:
    """Tell whether the estimate beats the direct kernel's by enough."""
    p = problem
    vectors = -(-p.out_c // isa.lanes())
    line = p.kernel_w * p.in_c * vectors * p.out_w / PIPES
    weights = 4 * p.kernel_w * p.in_c * p.out_c / WEIGHT_BYTES_PER_CYCLE
    strips = -(-p.out_h // _outputs(p))
    sums = POSITIONS * p.out_w * vectors * SUM_CYCLES
    data = _rows(p) * p.in_w * p.in_c / isa.lanes() * DATA_CYCLES
    cycles = strips * (_rows(p) * line + sums + data) + _rows(p) * weights
    on_image = share_on_image(p.rows, p.out_h) * share_on_image(p.columns, p.out_w)
    return WORTHWHILE_GAIN * cycles < p.kernel_h * (p.out_h * line * on_image + weights)


def _taps(p: Conv2d) -> int:
    """Return the taps of the first phase."""
    return -(-p.kernel_h // p.stride_h)


def _outputs(p: Conv2d) -> int:
    """Return m, the output rows of a strip."""
    return POSITIONS + 1 - _taps(p)


def _phases(p: Conv2d, position: int) -> int:
    """Return how many phases, from the first, have products at a position."""
    whole = p.kernel_h % p.stride_h or p.stride_h
    return whole if position == POSITIONS - 1 else min(p.stride_h, p.kernel_h)


def _rows(p: Conv2d) -> int:
    """Return the rows of transformed data and weights."""
    return sum(_phases(p, position) for position in range(POSITIONS))


def pack(problem: Conv2d, isa: Isa, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Transform weights HWIO and pack each position's rows into column panels, flat."""
    import numpy as np

    p, taps = problem, _taps(problem)
    padded = np.zeros((taps * p.stride_h, *weights.shape[1:]))
    padded[: p.kernel_h] = weights
    phases = padded.reshape(taps, p.stride_h, *weights.shape[1:])
    spread = np.einsum("nt,tq...->nq...", transforms(_outputs(p), taps).weights, phases)
    runs = _make_plan(p, isa, 1).runs
    matrices = [spread[n, : _phases(p, n)].reshape(-1, p.out_c) for n in range(POSITIONS)]
    return np.concatenate([pack_panels(matrix.astype(np.float32), runs) for matrix in matrices])


@dataclass(frozen=True)
class _Plan:
    """Panels, register tiles of output columns, threads.

    ``together``: panels do not fit the first-level cache, and one serves all tiles of a strip
    before the next; else a tile's sums of all positions stay in that cache.
    """

    runs: tuple[PanelRun, ...]
    tiles: EvenSplit
    together: bool
    parallel: bool
    fetch_outputs: bool


def _make_plan(p: Conv2d, isa: Isa, parallel: int) -> _Plan:
    length = p.kernel_w * p.in_c
    tile = choose_tile(isa, p.out_w, p.out_c, _phases(p, 0) * length)
    runs = split_columns(p.out_c, isa.lanes(), tile.vectors)
    tiles = split_evenly(p.out_w, tile.rows)
    small = 4 * _rows(p) * length * packed_columns(runs) <= isa.l1_bytes
    moved = 4 * (prod(p.input_shape) + prod(p.output_shape))
    strips = p.batch * -(-p.out_h // _outputs(p))
    tasks = min(task_count(isa, parallel, p.flops, moved), strips)
    return _Plan(runs, tiles, not small, tasks > 1, moved > isa.l2_bytes)


def generate(problem: Conv2d, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`Conv2d` says."""
    b, p = KernelBuilder(), problem
    plan = _make_plan(p, isa, parallel)
    source = b.parameter("input", p.input_shape)
    packed_size = _rows(p) * p.kernel_w * p.in_c * packed_columns(plan.runs)
    weights = b.parameter("weights", (packed_size,))
    epilogue = EpilogueWriter(b, p.epilogue, p.output_shape)
    output = b.parameter("output", p.epilogue.stored_shape(p.output_shape))
    strips = -(-p.out_h // _outputs(p))
    loop = b.parallel if plan.parallel else b.serial
    with loop(p.batch * strips) as unit:
        batch, first = b.let(unit // strips), b.let(unit % strips * _outputs(p))
        data = _DataWriter(b, p, isa).write(source, batch, first)
        _StripWriter(b, p, plan, data, weights, epilogue, output).write(batch, first)
    return b.function(name)


def _line(p: Conv2d) -> int:
    """Return the elements of a row of transformed data: the image's, between zeros."""
    return max(p.pad_left + p.in_w, (p.out_w - 1) * p.stride_w + p.kernel_w) * p.in_c


@dataclass(frozen=True)
class _DataWriter:
    """Transforms the input rows that a strip sees to [position, phase, column, channel]."""

    b: KernelBuilder
    p: Conv2d
    isa: Isa

    def write(self, source: Buffer, batch: Expr, first: Expr) -> Buffer:
        """Transform what the strip of output rows from ``first`` on sees."""
        b, p = self.b, self.p
        line, size = _line(p), p.in_w * p.in_c
        data = b.workspace("data", _rows(p) * line)
        left = p.pad_left * p.in_c
        for begin, end in ((0, left), (left + size, line)):
            if end > begin:
                with b.serial(_rows(p)) as row, b.vectors(end - begin, self.isa.lanes()) as (x, n):
                    b.store(data, row * line + begin + x, constant(0.0, n), n)
        top = b.let(first * p.stride_h - p.pad_top)
        seen = max(self._seen(phase)[-1] for phase in range(_phases(p, 0))) + 1
        inside = (top >= 0) & (top + seen <= p.in_h)
        with b.when(inside):
            self._transform(source, b.let((batch * p.in_h + top) * size), data)
        with b.when(~inside):
            band = b.workspace("band", seen * size)
            with b.serial(seen) as row:
                y = b.let(top + row)
                on_image = (y >= 0) & (y < p.in_h)
                with b.vectors(size, self.isa.lanes()) as (x, n):
                    with b.when(on_image):
                        value = b.load(source, (batch * p.in_h + y) * size + x, n)
                        b.store(band, row * size + x, value, n)
                    with b.when(~on_image):
                        b.store(band, row * size + x, constant(0.0, n), n)
            self._transform(band, 0, data)
        return data

    def _seen(self, phase: int) -> range:
        """Return the rows that a phase sees, from the strip's first on."""
        positions = [n for n in range(POSITIONS) if phase < _phases(self.p, n)]
        return range(phase, phase + len(positions) * self.p.stride_h, self.p.stride_h)

    def _transform(self, source: Buffer, start: Expr, data: Buffer) -> None:
        b, p = self.b, self.p
        line, size = _line(p), p.in_w * p.in_c
        before = [sum(_phases(p, n) for n in range(position)) for position in range(POSITIONS)]
        for phase in range(_phases(p, 0)):
            rows = self._seen(phase)
            with b.vectors(size, self.isa.lanes()) as (x, n):
                values = [b.let(b.load(source, start + row * size + x, n)) for row in rows]
                missing = [None] * (POSITIONS - len(rows))
                spread = apply_data(b, _outputs(p), [*values, *missing], n, _taps(p))
                for position in range(len(rows)):
                    place = (before[position] + phase) * line + p.pad_left * p.in_c + x
                    b.store(data, place, spread[position], n)


@dataclass(frozen=True)
class _StripWriter:
    """Multiplies a strip's data by the weights and writes its output rows.

    ``parts`` are runs of register tiles of output columns, (start, tiles, columns of each).
    """

    b: KernelBuilder
    p: Conv2d
    plan: _Plan
    data: Buffer
    weights: Buffer
    epilogue: EpilogueWriter
    output: Buffer

    def write(self, batch: Expr, first: Expr) -> None:
        """Write the output rows from ``first`` on, in groups of columns that share a panel."""
        b, parts = self.b, self.plan.tiles.parts()
        if self.plan.together:
            self._group(batch, first, 0, parts, self.p.out_w)
            return
        for start, count, size in parts:
            with b.serial(count) as tile:
                column = b.let(start + tile * size)
                self._group(batch, first, column, ((0, 1, size),), size)

    def _group(self, batch: Expr, first: Expr, column: Expr, parts: _Parts, columns: int) -> None:
        b, p = self.b, self.p
        widest = max(run.packed_columns for run in self.plan.runs)
        sums = b.workspace("sums", POSITIONS * columns * widest)
        corner = b.let((batch * p.out_h + first) * p.out_w + column)
        for run in self.plan.runs:
            with b.serial(run.count) as panel:
                channel = b.let(run.start + panel * run.packed_columns)
                if self.plan.fetch_outputs:
                    self._prefetch(run, channel, corner, parts)
                for begin, end in ((0, POSITIONS - 1), (POSITIONS - 1, POSITIONS)):
                    with b.serial(end - begin) as position:
                        place = b.let((begin + position) * columns * run.packed_columns)
                        self._position(run, panel, begin, position, column, parts, sums, place)
                with b.serial(columns) as index:
                    pixel = b.let(corner + index)
                    self._write_back(run, channel, batch, first, pixel, index, columns, sums)

    def _prefetch(self, run: PanelRun, channel: Expr, corner: Expr, parts: _Parts) -> None:
        """Ask for where a group's results go."""
        for start, count, size in parts:
            with self.b.serial(count) as tile:
                place = self.b.let(corner + start + tile * size)
                pixels = Pixels(place, _outputs(self.p), size, self.p.out_w)
                self.epilogue.prefetch_tile(self.output, pixels, channel, run.vectors)

    def _position(
        self,
        run: PanelRun,
        panel: Expr,
        begin: int,
        position: Expr,
        column: Expr,
        parts: _Parts,
        sums: Buffer,
        place: Expr,
    ) -> None:
        """Store the sums of position ``begin + position``, as [column, channel], at ``place``."""
        b, p = self.b, self.p
        line, length, width = _line(p), p.kernel_w * p.in_c, run.packed_columns
        phases, row = _phases(p, begin), _phases(p, 0) * (begin + position)
        depth = phases * length
        packed = row * (length * packed_columns(self.plan.runs))
        packed = b.let(packed + (run.packed + panel * width) * depth)
        for start, count, size in parts:
            with b.serial(count) as index:
                before = b.let(start + index * size)
                left = b.let(row * line + (column + before) * (p.stride_w * p.in_c))
                tile = b.registers(size, run.widths)
                tile.clear()
                for phase in range(phases):
                    with b.serial(length, carry=tile) as k:
                        place_k = left + (phase * line) + k
                        inputs = [(i, place_k + i * (p.stride_w * p.in_c)) for i in range(size)]
                        weights = packed + (phase * length + k) * width
                        pair = (self.weights, weights), (self.data, inputs)
                        add_outer_product(b, tile, run, *pair)
                for i in range(size):
                    target = place + (before + i) * width
                    for q, offset in enumerate(run.packed_starts()):
                        b.store(sums, target + offset, tile.get(i, q), run.widths[q])

    def _write_back(
        self,
        run: PanelRun,
        channel: Expr,
        batch: Expr,
        first: Expr,
        pixel: Expr,
        index: Expr,
        columns: int,
        sums: Buffer,
    ) -> None:
        """Transform the sums of one column back and store its pixels, from ``pixel`` down."""
        b, p, width = self.b, self.p, run.packed_columns
        for start, (offset, lanes) in zip(run.packed_starts(), run.vectors, strict=True):
            places = [(n * columns + index) * width + start for n in range(POSITIONS)]
            values = [b.let(b.load(sums, place, lanes)) for place in places]
            bias = self.epilogue.start(channel + offset, lanes)
            for i, value in enumerate(apply_output(b, _outputs(p), values, lanes, _taps(p))):
                whole = p.out_h % _outputs(p) == 0 or i == 0
                with b.when(True if whole else first + i < p.out_h):
                    number = b.let(pixel + i * p.out_w)
                    total = b.let(value + bias)
                    total = self.epilogue.finish(total, number, batch, channel + offset, lanes)
                    place = self.epilogue.target(number, channel + offset)
                    b.store(self.output, place, total, lanes)
