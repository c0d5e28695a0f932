"""An image with its windows' columns side by side, so that any window is a set of plain vectors.

For each channel and each column of the window there is a plane of the output's width: at (line, x)
it holds what output column x sees through that column of the window, zero beside the image. Lines
are grouped by their number modulo the stride, so that the pixels that one tap of the window
contributes to all outputs of a band follow each other without gaps, whatever stride, dilation and
padding are. The planes are as many times larger than the image as the window has columns; one for
each tap, as in im2col, would need the window's height times as much again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import gcd

from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, beside, constant, within
from assay.compiler.kernels.nchw.gather import gather
from assay.compiler.kernels.shuffles import deinterleaved
from assay.compiler.kernels.splits import column_vectors, disjoint_vectors
from assay.compiler.kernels.windows import Window


@dataclass(frozen=True)
class UnrolledBand:
    """The planes of one channel for a band of ``lines`` output lines."""

    rows: Window
    columns: Window
    lines: int

    @classmethod
    def within(cls, rows: Window, columns: Window, elements: int, most: int) -> UnrolledBand:
        """Return a band of as many lines as fit, at most ``most``; all bands are about as tall."""
        one, two = (cls(rows, columns, lines).size for lines in (1, 2))
        fitting = 1 + max(0, elements - one) // (two - one)
        bands = -(-rows.out_size // max(1, min(fitting, rows.out_size, most)))
        return cls(rows, columns, -(-rows.out_size // bands))

    @property
    def phases(self) -> int:
        """Groups of image lines: taps of the window meet that many different ones."""
        return 1 if self.rows.kernel == 1 else self.rows.stride // self._common

    @property
    def plane(self) -> int:
        """Elements of a plane: lines of one phase times output columns."""
        last = (self.rows.kernel - 1) * self.rows.dilation // self.rows.stride
        return (self.lines + last) * self.columns.out_size

    @property
    def size(self) -> int:
        """Elements of one channel."""
        return self.columns.kernel * self.phases * self.plane

    @property
    def _common(self) -> int:
        return gcd(self.rows.stride, self.rows.dilation)

    def tap(self, row: Expr, column: Expr) -> Expr:
        """Return where a tap of the window has its pixel of the band's first output."""
        step = row * self.rows.dilation
        phase = step % self.rows.stride // self._common if self.phases > 1 else 0
        line = step // self.rows.stride * self.columns.out_size
        return (column * self.phases + phase) * self.plane + line

    def fill(
        self,
        b: KernelBuilder,
        source: Buffer,
        image: Expr,
        space: Buffer,
        start: Expr,
        line: Expr,
        lanes: int,
    ) -> None:
        """Write one channel's planes to ``space`` from ``start`` on.

        ``image`` is where the channel's image starts in the source, ``line`` the first output line.
        """
        width, step = self.columns.out_size, self.phases * self.plane

        def inside(at: Expr, place: Expr) -> None:
            base = b.let(image + at * self.columns.in_size)
            self._write_line(b, source, base, space, b.let(start + place), lanes)

        def outside(place: Expr) -> None:
            with b.serial(self.columns.kernel) as tap:
                write_constant(b, space, b.let(start + place + tap * step), width, lanes)

        self.each_line(b, line, inside, outside)

    def fill_from_pixels(
        self,
        b: KernelBuilder,
        source: Buffer,
        image: Expr,
        channels: int,
        space: Buffer,
        line: Expr,
        lanes: int,
    ) -> None:
        """Write the planes of an image in NHWC, which starts at ``image``, one after the other.

        Lines are cut up by channels in the nearest cache, and unrolled from there.
        """
        width, columns = self.columns.in_size, self.columns.kernel
        cut = b.workspace("line", channels * width)

        def inside(at: Expr, place: Expr) -> None:
            start = b.let(image + at * (width * channels))
            with b.vectors(width, lanes) as (x, some):
                first = b.let(start + x * channels)
                pixels = [b.let(b.load(source, first + i * some, some)) for i in range(channels)]
                for i, value in enumerate(deinterleaved(pixels, some)):
                    b.store(cut, i * width + x, value, some)
            with b.serial(channels) as channel:
                target = b.let(channel * self.size + place)
                self._write_line(b, cut, b.let(channel * width), space, target, lanes)

        def outside(place: Expr) -> None:
            with b.serial(channels * columns) as plane:
                target = b.let(plane * (self.phases * self.plane) + place)
                write_constant(b, space, target, self.columns.out_size, lanes)

        self.each_line(b, line, inside, outside)

    def each_line(
        self,
        b: KernelBuilder,
        line: Expr,
        inside: Callable[[Expr, Expr], None],
        outside: Callable[[Expr], None],
    ) -> None:
        """Call ``inside(image line, place)`` or ``outside(place)`` for each line of a plane.

        ``place`` is where the line starts in the plane, ``line`` the band's first output line.
        """
        rows, width = self.rows, self.columns.out_size
        with b.serial(self.phases) as phase, b.serial(self.plane // width) as index:
            at = b.let((line + index) * rows.stride + phase * self._common - rows.pad)
            place = b.let(phase * self.plane + index * width)
            with b.when(within(at, 0, rows.in_size)):
                inside(at, place)
            with b.when(beside(at, rows.in_size)):
                outside(place)

    def _write_line(
        self,
        b: KernelBuilder,
        source: Buffer,
        base: Expr,
        space: Buffer,
        target: Expr,
        lanes: int,
    ) -> None:
        for tap in range(self.columns.kernel):
            first = target + tap * (self.phases * self.plane)
            for run in line_runs(self.columns, [tap], lanes):
                places = line_places(self.columns, tap, run.start, run.lanes)
                with b.serial(run.count) as turn:
                    moved = b.let(base + turn * (run.lanes * self.columns.stride))
                    value = gather(b, source, moved, places)
                    b.store(space, first + (run.start + turn * run.lanes), value, run.lanes)


def write_constant(
    b: KernelBuilder,
    space: Buffer,
    start: Expr,
    size: int,
    lanes: int,
    value: float = 0.0,
    dtype: str = "float32",
) -> None:
    """Fill ``size`` elements from ``start`` on."""
    for first, count, some in disjoint_vectors(size, lanes):
        with b.serial(count) as turn:
            b.store(space, start + first + turn * some, constant(value, some, dtype), some)


@dataclass(frozen=True)
class LineRun:
    """``count`` vectors of ``lanes`` outputs of a line, side by side from ``start`` on.

    They look alike from their first outputs on: what they see lies on the image, or they are one.
    """

    start: int
    count: int
    lanes: int


def line_places(columns: Window, tap: int, start: int, lanes: int) -> list[int | None]:
    """Return the image columns that outputs from ``start`` on see through one tap."""
    return [
        columns.source(x, tap) if columns.inside(x, tap) else None
        for x in range(start, start + lanes)
    ]


def line_runs(columns: Window, taps: Sequence[int], lanes: int) -> tuple[LineRun, ...]:
    """Cover a line of outputs with vectors; those that ``taps`` keep inside go together."""
    runs: list[LineRun] = []
    joins = False
    for start, some in column_vectors(columns.out_size, lanes):
        complete = all(columns.inside(x, tap) for x in (start, start + some - 1) for tap in taps)
        last = runs[-1] if runs else LineRun(0, 0, 0)
        if joins and complete and last.lanes == some and start == last.start + last.count * some:
            runs[-1] = LineRun(last.start, last.count + 1, some)
        else:
            runs.append(LineRun(start, 1, some))
        joins = complete
    return tuple(runs)
