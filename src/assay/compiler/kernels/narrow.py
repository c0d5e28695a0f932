"""Convolution to few channels, such as an RGB image or a mask, NHWC, of any window.

Three channels fill three lanes of a vector. Here taps of a window's row, and output rows, stand
beside channels, so that vectors are full. For a strip of output rows, every column ``x`` of the
image gets a row of sums, one for each of (tap, output row, channel),

    sums[x, tap, j, c] = sum over window rows i and input channels of
        input[j * stride_h + i * dilation_h - pad_top, x] * weights[i, tap, c],

which is a convolution with a window of one column, done as in :mod:`direct`. Zeros stand in the
weights where an input row is none of an output row's. Then

    output[j, x, c] = bias[c] + sum over taps of sums[x + tap * dilation_w - pad_left, tap, j, c].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

from assay.compiler.kernels import direct
from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, RegisterTile, constant
from assay.compiler.kernels.direct_writer import DirectWriter
from assay.compiler.kernels.epilogue_writer import EpilogueWriter, Pixels
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.splits import ceil_power_of_two, column_vectors
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOST_ROWS = 8  # of a strip: more would add zeros faster than they fill vectors
_BETTER = 1.2  # the estimates below leave out how sums are stored


def applicable(problem: Conv2d) -> bool:
    """Tell whether taps of a row see neighbouring columns, and the epilogue knows no channels."""
    p = problem
    steps = p.epilogue.steps
    later = steps[1:] if p.epilogue.starts_with_bias else steps
    flat = all(step.operand in (None, "tensor") for step in later)
    whole = p.epilogue.inside is None or p.epilogue.inside.step == p.out_c  # lines of pixels
    dense = (p.stride_w, p.groups, p.input_gate, p.layout) == (1, 1, False, "NHWC")
    return dense and flat and whole and p.kernel_w > 1


def worthwhile(problem: Conv2d, isa: Isa) -> bool:
    """Tell whether multiplying takes less time than in :mod:`direct`, and adding up no more."""
    p = problem
    vectors = column_vectors(p.out_c, isa.lanes())
    plain = p.kernel_h * p.kernel_w * sum(_time(lanes, isa) for _, lanes in vectors)
    adding = 2 * p.kernel_w * len(vectors) / p.in_c  # loads and sums, for each input channel
    return _BETTER * (_multiplications(p, isa, _strip_rows(p, isa)) + adding) < plain


def fits_a_vector(problem: Conv2d, isa: Isa) -> bool:
    """Tell whether a column's sums fit one vector; then Winograd's transforms would take longer."""
    return problem.kernel_w * problem.out_c <= isa.lanes()


def _strip_rows(p: Conv2d, isa: Isa) -> int:
    """Return how many output rows stand beside each other."""
    most = min(_MOST_ROWS, p.out_h) if p.dilation_h == 1 else 1
    return min(range(1, most + 1), key=lambda rows: _multiplications(p, isa, rows))


def _multiplications(p: Conv2d, isa: Isa, rows: int) -> float:
    """Time of multiply-adds for each output pixel and input channel, of a whole vector's."""
    vectors = _covering(p.kernel_w * rows * p.out_c, isa.lanes())
    return sum(_time(lanes, isa) for _, lanes in vectors) * _window_rows(p, rows) / rows


def _time(lanes: int, isa: Isa) -> float:
    """Time of a vector relative to a whole one: CPUs may run wide ones as two halves, not more."""
    return max(0.5, lanes / isa.lanes())


def _window_rows(p: Conv2d, rows: int) -> int:
    return (rows - 1) * p.stride_h + p.kernel_h


def _columns(p: Conv2d, isa: Isa, rows: int) -> int:
    """Sums for each column of the image, filled up to whole vectors."""
    return sum(lanes for _, lanes in _covering(p.kernel_w * rows * p.out_c, isa.lanes()))


def _inner(p: Conv2d, isa: Isa) -> Conv2d:
    """Return the convolution with a window of one column that makes the sums."""
    rows = _strip_rows(p, isa)
    return Conv2d(
        p.batch, p.in_h, p.in_w, p.in_c, -(-p.out_h // rows), p.in_w, _columns(p, isa, rows),
        _window_rows(p, rows), 1, rows * p.stride_h, 1, p.pad_top, 0, p.dilation_h,
    )  # fmt: skip


def pack(problem: Conv2d, isa: Isa, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pack weights HWIO: for each of a strip's rows in the columns of its taps, else zeros."""
    import numpy as np

    p, inner, rows = problem, _inner(problem, isa), _strip_rows(problem, isa)
    wide = np.zeros((inner.kernel_h, p.in_c, inner.out_c), np.float32)
    for tap in range(p.kernel_w):
        for row in range(rows):
            first = (tap * rows + row) * p.out_c
            seen = slice(row * p.stride_h, row * p.stride_h + p.kernel_h)
            wide[seen, :, first : first + p.out_c] = weights[:, tap]
    return direct.pack(inner, isa, wide[:, None])


def generate(problem: Conv2d, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`Conv2d` says."""
    b, p, inner = KernelBuilder(), problem, _inner(problem, isa)
    plan = replace(
        direct.make_plan(inner, isa, 1), block_rows=1, fetch_outputs=False, fetch_weights=False
    )
    source = b.parameter("input", p.input_shape)
    weights = b.parameter("weights", (direct.packed_size(inner, plan),))
    epilogue = EpilogueWriter(b, p.epilogue, p.output_shape)
    output = b.parameter("output", p.epilogue.stored_shape(p.output_shape))
    moved = 4 * (prod(p.input_shape) + prod(p.output_shape))
    tasks = task_count(isa, parallel, p.flops, moved)
    loop = b.parallel if tasks > 1 else b.serial
    with loop(p.batch * inner.out_h) as unit:
        batch, strip = b.let(unit // inner.out_h), b.let(unit % inner.out_h)
        sums = _Sums.allocate(b, p, isa, epilogue)
        DirectWriter(b, inner, plan, source, weights, sums, sums.memory).write_row(batch, strip)
        _StripWriter(b, p, isa, sums, epilogue, output).write(batch, strip)
    return b.function(name)


@dataclass(frozen=True)
class _Sums:
    """The sums of a strip, [column of the padded image, tap, row, channel]; takes register tiles.

    ``start`` holds what the sums of one column start from: the bias for the first tap. That is also
    what stands in columns beside the image.
    """

    b: KernelBuilder
    p: Conv2d
    width: int
    memory: Buffer
    start: Buffer

    @classmethod
    def allocate(cls, b: KernelBuilder, p: Conv2d, isa: Isa, epilogue: EpilogueWriter) -> _Sums:
        """Allocate the sums and write those beside the image."""
        rows, most = _strip_rows(p, isa), isa.lanes()
        width = _columns(p, isa, rows)
        reach = p.out_w + (p.kernel_w - 1) * p.dilation_w
        columns = max(reach, p.pad_left + p.in_w)
        memory = b.workspace("sums", columns * width + most)
        start = b.workspace("start", width)
        for first, lanes in _covering(width, most):
            b.store(start, first, constant(0.0, lanes), lanes)
        with b.serial(p.out_c) as channel:
            value = b.let(epilogue.start(channel, 1))
            for row in range(rows):
                b.store(start, row * p.out_c + channel, value)
        for side, count in ((0, p.pad_left), (p.pad_left + p.in_w, columns - p.pad_left - p.in_w)):
            with b.serial(count) as column:
                for first, lanes in _covering(width, most):
                    place = (side + column) * width + first
                    b.store(memory, place, b.load(start, first, lanes), lanes)
        return cls(b, p, width, memory, start)

    def start_tile(
        self, tile: RegisterTile, column: Expr, vectors: Sequence[tuple[int, int]]
    ) -> None:
        """Set all rows of a tile to the start of its sums."""
        tile.fill([self.b.load(self.start, column + first, lanes) for first, lanes in vectors])

    def prefetch_tile(
        self, buffer: Buffer, pixels: Pixels, column: Expr, vectors: Sequence[tuple[int, int]]
    ) -> None:
        """Ask for nothing: sums are written to where those of the strip before were."""

    def write_tile(
        self,
        tile: RegisterTile,
        buffer: Buffer,
        pixels: Pixels,
        batch: Expr,
        column: Expr,
        vectors: Sequence[tuple[int, int]],
    ) -> None:
        """Store a tile: a row for each column of the image; whose row it is does not matter."""
        b = self.b
        first = b.let(pixels.corner % self.p.in_w + self.p.pad_left)
        for row in range(pixels.columns):
            for index, (offset, lanes) in enumerate(vectors):
                place = (first + row) * self.width + column + offset
                b.store(buffer, place, tile.get(row, index), lanes)


@dataclass(frozen=True)
class _StripWriter:
    """Adds up the taps of a strip and writes its output rows."""

    b: KernelBuilder
    p: Conv2d
    isa: Isa
    sums: _Sums
    epilogue: EpilogueWriter
    output: Buffer

    def write(self, batch: Expr, strip: Expr) -> None:
        """Emit the loops."""
        b, p = self.b, self.p
        rows, line = _strip_rows(p, self.isa), p.out_w * p.out_c
        apart = line + self.isa.lanes()  # stores of whole vectors reach beyond a line's end
        results = b.workspace("results", rows * apart)
        with b.serial(p.out_w) as column:
            self._add_taps(results, column, rows, apart)
        for index in range(rows):
            row = strip * rows + index
            with b.when(row < p.out_h if p.out_h % rows else True):
                pixel = b.let((batch * p.out_h + row) * p.out_w)
                with b.vectors(line, self.isa.lanes()) as (first, lanes):
                    value = b.let(b.load(results, index * apart + first, lanes))
                    value = self.epilogue.finish(value, pixel, batch, first, lanes)
                    b.store(self.output, self.epilogue.target(pixel, first), value, lanes)

    def _add_taps(self, results: Buffer, column: Expr, rows: int, apart: int) -> None:
        """Write the results of one column; lanes beyond its channels are overwritten later."""
        b, p = self.b, self.p
        size = rows * p.out_c
        aside = b.workspace("aside", size + self.isa.lanes()) if rows > 1 else None
        for first, lanes in _covering(size, self.isa.lanes()):
            places = [
                (column + tap * p.dilation_w) * self.sums.width + tap * size + first
                for tap in range(p.kernel_w)
            ]
            total = b.let(b.load(self.sums.memory, places[0], lanes))
            for place in places[1:]:
                total = b.let(total + b.load(self.sums.memory, place, lanes))
            if aside is None:
                b.store(results, column * p.out_c + first, total, lanes)
            else:
                b.store(aside, first, total, lanes)
        if aside is None:
            return
        for row in range(rows):
            for first, lanes in _covering(p.out_c, self.isa.lanes()):
                value = b.load(aside, row * p.out_c + first, lanes)
                b.store(results, row * apart + column * p.out_c + first, value, lanes)


def _covering(size: int, most: int) -> list[tuple[int, int]]:
    """Cover ``size`` elements by vectors, (first, lanes); the last may reach beyond the end."""
    full = [(first, most) for first in range(0, size - most + 1, most)]
    rest = size % most
    return [*full, (size - rest, ceil_power_of_two(rest))] if rest else full
