"""Image rows in pairs, for dot products that sum two neighbours within a lane.

A window's rows are summed two at a time. Rows that follow each other in a window are ``apart`` rows
from each other in the image; so a pair is a row and the one ``apart`` rows below it, and each row
is in one pair only. Whether a window starts with the first or the second row of a pair alternates
from line to line of the output (every ``apart`` lines), unless the stride is even.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from tvm import tirx

from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, beside, constant, within
from assay.compiler.kernels.int8.dot import Dot
from assay.compiler.kernels.int8.vectors import cast, shuffle
from assay.compiler.kernels.int8.views import Part, fill
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.splits import column_vectors

_COPY_BYTES = 16  # of each row; x86 interleaves within 128 bits

Taps = tuple[int | None, int | None]
"""Which rows of the window meet the two rows of a pair, None if none does."""


@dataclass(frozen=True)
class RowPairs:
    """How the windows of a convolution lie on pairs of rows; rows count from the first one seen."""

    geometry: Conv2d

    @property
    def apart(self) -> int:
        """Rows from the first to the second of a pair."""
        return self.geometry.dilation_h if self.geometry.stride_h == 1 else 1

    @property
    def starts(self) -> int:
        """In how many ways windows start in a pair: 1, or 2 that alternate."""
        return 1 if self.geometry.stride_h % 2 == 0 else 2

    @property
    def block_lines(self) -> int:
        """Output lines after which all repeats."""
        return self.starts * self.apart

    @property
    def block_pairs(self) -> int:
        """Pairs from one such block to the next."""
        return self.geometry.stride_h * self.block_lines // 2

    def first_pair(self, start: int) -> int:
        """Return the first pair of a window that starts in a certain way, within its block."""
        return self.geometry.stride_h * start // 2 * self.apart

    def taps(self, start: int) -> dict[int, Taps]:
        """Return what such a window sees, by the place of the pair after its first one."""
        p = self.geometry
        half = p.stride_h * start % 2
        seen: dict[int, list[int | None]] = defaultdict(lambda: [None, None])
        for tap in range(p.kernel_h):
            row = half + tap * p.dilation_h // self.apart
            seen[row // 2 * self.apart][row % 2] = tap
        return {pair: (first, second) for pair, (first, second) in seen.items()}

    def count(self, lines: Expr) -> Expr:
        """Return how many pairs that many output lines see, beginning with a whole block."""
        p = self.geometry
        rows = (lines - 1) * p.stride_h + ((p.kernel_h - 1) * p.dilation_h + 1)
        both = 2 * self.apart
        return (rows + (both - 1)) // both * self.apart


@dataclass(frozen=True)
class PairedBand:
    """The pairs that some output lines look at: int16 [pair][column][channel][2].

    What is beside the image are zero points.
    """

    dot: Dot
    pairs: RowPairs
    zero_point: int

    @property
    def pixel_step(self) -> int:
        """Elements of a column."""
        return 2 * self.pairs.geometry.in_c

    @property
    def pair_step(self) -> int:
        """Elements of a pair of rows."""
        p = self.pairs.geometry
        width = (p.out_w - 1) * p.stride_w + (p.kernel_w - 1) * p.dilation_w + 1
        return width * self.pixel_step

    def bytes_needed(self, lines: int) -> int:
        """Return the size of the band for that many output lines."""
        return 2 * int(self.pairs.count(lines)) * self.pair_step

    def open(self, b: KernelBuilder, source: Buffer, part: Part) -> Buffer:
        """Return the band, filled for a part of the output, which is whole lines."""
        p, apart = self.pairs.geometry, self.pairs.apart
        size = int(self.pairs.count(part.most_lines)) * self.pair_step
        space = b.workspace("pairs", size, self.dot.inputs)
        top = b.let(part.line * p.stride_h - p.pad_top)
        with b.serial(self.pairs.count(part.lines)) as index:
            first = b.let(top + (index // apart * (2 * apart) + index % apart))
            target = b.let(index * self.pair_step)
            offsets = [
                b.let((part.image * p.in_h + row) * (p.in_w * p.in_c))
                for row in (first, first + apart)
            ]
            for seen in ((True, True), (True, False), (False, True), (False, False)):
                tests = [
                    within(row, 0, p.in_h) if inside else beside(row, p.in_h)
                    for row, inside in zip((first, first + apart), seen, strict=True)
                ]
                with b.when(_both(*tests)):
                    rows = [
                        start if inside else None
                        for start, inside in zip(offsets, seen, strict=True)
                    ]
                    self._pair(b, source, rows, space, target)
        return space

    def _pair(
        self, b: KernelBuilder, source: Buffer, rows: list[Expr | None], space: Buffer, to: Expr
    ) -> None:
        """Write a pair of rows, each from an offset of the image on; None is beside it."""
        p, step = self.pairs.geometry, self.pixel_step
        if rows == [None, None]:
            fill(b, self.dot, self.zero_point, space, to, self.pair_step)
            return
        width = self.pair_step // step
        left = min(p.pad_left, width)
        end = max(min(width, p.pad_left + p.in_w), left)
        fill(b, self.dot, self.zero_point, space, to, left * step)
        fill(b, self.dot, self.zero_point, space, to + end * step, (width - end) * step)
        length, target = (end - left) * p.in_c, to + left * step
        if length == 0:
            return
        vectors = column_vectors(length, _COPY_BYTES)
        full = length // _COPY_BYTES
        with b.serial(full) as index:
            self._copy(b, source, rows, space, target, index * _COPY_BYTES, _COPY_BYTES)
        for position, lanes in vectors[full:]:
            self._copy(b, source, rows, space, target, position, lanes)

    def _copy(
        self,
        b: KernelBuilder,
        source: Buffer,
        rows: list[Expr | None],
        space: Buffer,
        target: Expr,
        position: Expr,
        lanes: int,
    ) -> None:
        """Bring ``lanes`` bytes of both rows side by side."""
        beside_image = constant(self.zero_point, lanes, "uint8")
        both = [
            beside_image if row is None else b.let(b.load(source, row + position, lanes))
            for row in rows
        ]
        order = [lane + start for lane in range(lanes) for start in (0, lanes)]
        words = cast(self.dot.inputs, shuffle(both, order), 2 * lanes)
        b.store(space, target + position * 2, words, 2 * lanes)


def _both(left: Expr, right: Expr) -> Expr:
    if isinstance(left, bool):
        return left and right
    return right and left if isinstance(right, bool) else tirx.all(left, right)
