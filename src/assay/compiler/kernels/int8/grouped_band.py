"""A workspace that holds image rows in groups, interleaved as a dot product takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tvm import tirx

from assay.compiler.kernels.builder import (
    Buffer,
    Expr,
    KernelBuilder,
    constant,
    maximum,
    minimum,
    within,
)
from assay.compiler.kernels.int8.dot import Dot
from assay.compiler.kernels.int8.interleave import MOST_INTERLEAVED, interleave
from assay.compiler.kernels.int8.row_groups import RowGroups
from assay.compiler.kernels.int8.views import Part, element_bytes, fill
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.splits import column_vectors

_COPY_BYTES = 16  # of each row; x86 interleaves within 128 bits


@dataclass(frozen=True)
class GroupedBand:
    """The groups of rows that some output lines see, of ``width`` channels.

    They are [group][column][channel][tap], channels in the order of :func:`interleave`; what is
    beside the image are zero points. Where groups have fewer than four rows, ``width`` is all
    channels.
    """

    dot: Dot
    groups: RowGroups
    zero_point: int
    width: int

    @property
    def _geometry(self) -> Conv2d:
        return self.groups.geometry

    @property
    def pixel_step(self) -> int:
        """Elements of a column."""
        return self.width * self.dot.taps

    @property
    def _columns(self) -> int:
        p = self._geometry
        return (p.out_w - 1) * p.stride_w + (p.kernel_w - 1) * p.dilation_w + 1

    @property
    def group_step(self) -> int:
        """Elements of a group."""
        return self._columns * self.pixel_step

    def bytes_needed(self, lines: int) -> int:
        """Return the size of the band for that many output lines."""
        return int(self.groups.count(lines)) * self.group_step * element_bytes(self.dot)

    def open(self, b: KernelBuilder, source: Buffer, part: Part, channel: Expr) -> Buffer:
        """Return the band for a part of the output, which is whole lines, from a channel on."""
        p, taps = self._geometry, self.dot.taps
        size = int(self.groups.count(part.most_lines)) * self.group_step
        space = b.workspace("groups", size, self.dot.inputs)
        top = b.let(part.line * p.stride_h - p.pad_top)
        with b.serial(self.groups.count(part.lines)) as group:
            rows = [b.let(top + self.groups.row(group, place)) for place in range(taps)]
            inside = [within(row, 0, p.in_h) for row in rows]
            target = b.let(group * self.group_step)
            all_inside = _all(inside)
            with b.when(all_inside):
                lines = self._lines(b, part.image, rows, channel)
                self._group(b, source, lines, [True] * taps, space, target)
            with b.when(_not(all_inside)):
                nearest = [maximum(minimum(row, p.in_h - 1), 0) for row in rows]
                lines = self._lines(b, part.image, nearest, channel)
                self._group(b, source, lines, inside, space, target)
        return space

    def _lines(
        self, b: KernelBuilder, image: Expr, rows: Sequence[Expr], channel: Expr
    ) -> list[Expr]:
        """Return where rows of the image begin."""
        p = self._geometry
        return [b.let((image * p.in_h + row) * (p.in_w * p.in_c) + channel) for row in rows]

    def _group(
        self,
        b: KernelBuilder,
        source: Buffer,
        lines: Sequence[Expr],
        inside: Sequence[Expr],
        space: Buffer,
        to: Expr,
    ) -> None:
        """Write a group; lines that are not ``inside`` the image are zero points."""
        p, step = self._geometry, self.pixel_step
        left = min(p.pad_left, self._columns)
        end = max(min(self._columns, p.pad_left + p.in_w), left)
        fill(b, self.dot, self.zero_point, space, to, left * step)
        fill(b, self.dot, self.zero_point, space, to + end * step, (self._columns - end) * step)
        if end == left:
            return
        if self.dot.taps == MOST_INTERLEAVED:
            with b.serial(end - left) as column:
                own = [line + column * p.in_c for line in lines]
                self._copy(b, source, own, inside, space, to + (left + column) * step, self.width)
            return
        length, target = (end - left) * self.width, to + left * step
        vectors, full = column_vectors(length, _COPY_BYTES), length // _COPY_BYTES
        with b.serial(full) as index:
            own = [line + index * _COPY_BYTES for line in lines]
            at = target + index * (_COPY_BYTES * self.dot.taps)
            self._copy(b, source, own, inside, space, at, _COPY_BYTES)
        for position, lanes in vectors[full:]:
            own = [line + position for line in lines]
            self._copy(b, source, own, inside, space, target + position * self.dot.taps, lanes)

    def _copy(
        self,
        b: KernelBuilder,
        source: Buffer,
        starts: Sequence[Expr],
        inside: Sequence[Expr],
        space: Buffer,
        to: Expr,
        channels: int,
    ) -> None:
        """Bring some channels of all rows side by side."""
        values = [
            self._row(b, source, start, channels, here)
            for start, here in zip(starts, inside, strict=True)
        ]
        vectors = interleave(b, self.dot, values, channels)
        lanes = channels * self.dot.taps // len(vectors)
        for index, value in enumerate(vectors):
            b.store(space, to + index * lanes, value, lanes)

    def _row(
        self, b: KernelBuilder, source: Buffer, start: Expr, channels: int, inside: Expr
    ) -> Expr:
        nothing = constant(self.zero_point, channels, "uint8")
        value = b.let(b.load(source, start, channels))
        if isinstance(inside, bool):
            return value if inside else nothing
        return b.let(tirx.Select(inside, value, nothing))


def _all(conditions: Sequence[Expr]) -> Expr:
    if any(condition is False for condition in conditions):
        return False
    open_ones = [condition for condition in conditions if condition is not True]
    return tirx.all(*open_ones) if open_ones else True


def _not(condition: Expr) -> Expr:
    return not condition if isinstance(condition, bool) else tirx.Not(condition)
