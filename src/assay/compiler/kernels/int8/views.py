"""Where a product finds its inputs: in the input tensor, or in a workspace made from part of it.

A workspace is needed where windows leave the image (the zero point takes the place of what is not
there), and where the instruction wants inputs in another form than they are stored in.
Positions are (image, line, pixel) of the output; offsets count elements.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

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
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.splits import column_vectors

COPY_BYTES = 32  # vectors of copies: one or two registers, whatever the element


@dataclass(frozen=True)
class Part:
    """Part of the output: ``lines`` whole lines, or ``pixels`` of one line; each from a first on.

    No part has more than ``most_lines`` or ``most_pixels``.
    """

    image: Expr
    line: Expr
    lines: Expr
    most_lines: int
    pixel: Expr
    pixels: Expr
    most_pixels: int


class View(Protocol):
    """Left-hand side of a product."""

    @property
    def line_step(self) -> int:
        """Elements from an output line's first input to the next line's."""

    @property
    def pixel_step(self) -> int:
        """Elements from a pixel's first input to the next pixel's."""

    def bytes_needed(self, lines: int, pixels: int) -> int:
        """Return the workspace's size for that many lines and pixels per line; 0 without one."""

    def open(self, b: KernelBuilder, source: Buffer, part: Part) -> tuple[Buffer, Expr]:
        """Return the buffer to read and the offset of the part's first input."""


@dataclass(frozen=True)
class InPlace:
    """Inputs read straight from the tensor, from its element ``first`` on."""

    image_step: int
    line_step: int
    pixel_step: int
    first: Expr = 0

    def bytes_needed(self, lines: int, pixels: int) -> int:
        """No workspace."""
        return 0

    def open(self, b: KernelBuilder, source: Buffer, part: Part) -> tuple[Buffer, Expr]:
        """Return the tensor itself."""
        start = self.first + part.image * self.image_step + part.line * self.line_step
        return source, b.let(start + part.pixel * self.pixel_step)


@dataclass(frozen=True)
class ConvertedRows:
    """Pixels of one line, ``channels`` inputs each, side by side and converted for the dot.

    They are ``step`` elements apart in the tensor (0: they follow each other), their inputs
    ``channel_step``; the first input of all is element ``first``.
    """

    dot: Dot
    channels: int
    step: int = 0
    channel_step: int = 1
    first: Expr = 0

    @property
    def line_step(self) -> int:
        """There is one line only."""
        return 0

    @property
    def pixel_step(self) -> int:
        """Pixels lie side by side."""
        return self.channels

    def bytes_needed(self, lines: int, pixels: int) -> int:
        """One element per input, and what the last step may read on."""
        return (pixels * self.channels + self.dot.taps) * element_bytes(self.dot)

    def open(self, b: KernelBuilder, source: Buffer, part: Part) -> tuple[Buffer, Expr]:
        """Convert the part's pixels one by one."""
        size = part.most_pixels * self.channels + self.dot.taps
        space = b.workspace("converted", size, self.dot.inputs)
        with b.serial(part.pixels) as index:
            start = b.let(self.first + (part.pixel + index) * (self.step or self.channels))
            target = b.let(index * self.channels)
            if self.channel_step == 1:
                copy(b, self.dot, source, start, space, target, self.channels)
            else:
                with b.serial(self.channels) as channel:
                    value = b.load(source, start + channel * self.channel_step)
                    b.store(space, target + channel, self.dot.convert(value, 1))
        return space, 0


@dataclass(frozen=True)
class PaddedBand:
    """The image rows that some output lines look at, with borders of zero points, converted.

    With ``thin``, a window one pixel wide or high gets only every stride-th column or row.
    """

    dot: Dot
    geometry: Conv2d
    zero_point: int
    thin: bool = True

    @property
    def _column_stride(self) -> int:
        return self.geometry.stride_w if self.thin and self.geometry.kernel_w == 1 else 1

    @property
    def _row_stride(self) -> int:
        return self.geometry.stride_h if self.thin and self.geometry.kernel_h == 1 else 1

    @property
    def width(self) -> int:
        """Columns of the band."""
        p = self.geometry
        reach = (p.out_w - 1) * p.stride_w // self._column_stride
        return reach + (p.kernel_w - 1) * p.dilation_w + 1

    @property
    def row_step(self) -> int:
        """Elements of a row of the band."""
        return self.width * self.geometry.in_c

    @property
    def line_step(self) -> int:
        """Elements between the first rows of two output lines."""
        return self.geometry.stride_h // self._row_stride * self.row_step

    @property
    def pixel_step(self) -> int:
        """Elements between the first columns of two output pixels."""
        return self.geometry.stride_w // self._column_stride * self.geometry.in_c

    def bytes_needed(self, lines: int, pixels: int) -> int:
        """What the pixels look at of all rows, and what the last step may read on."""
        columns = self._columns(pixels) * self.geometry.in_c
        return (self._rows(lines) * columns + self.dot.taps) * element_bytes(self.dot)

    def open(self, b: KernelBuilder, source: Buffer, part: Part) -> tuple[Buffer, Expr]:
        """Fill the band row by row, of part of a line as many columns as its pixels look at."""
        p = self.geometry
        size = self._rows(part.most_lines) * self.row_step + self.dot.taps
        space = b.workspace("band", size, self.dot.inputs)
        top = b.let(part.line * p.stride_h - p.pad_top)
        columns, start = None, 0
        if part.most_pixels < p.out_w:
            first = b.let(part.pixel * (p.stride_w // self._column_stride))
            columns, start = (first, b.let(first + self._columns(part.pixels))), first * p.in_c
        with b.serial(self._rows(part.lines)) as index:
            row = b.let(top + index * self._row_stride)
            target = b.let(index * self.row_step)
            inside = within(row, 0, p.in_h)
            line = b.let((part.image * p.in_h + row) * (p.in_w * p.in_c))
            with b.when(inside):
                self._row(b, source, line, space, target, columns)
            with b.when(not inside if isinstance(inside, bool) else tirx.Not(inside)):
                self._border(b, space, target, columns)
        return space, start

    def _rows(self, lines: Expr) -> Expr:
        p = self.geometry
        reach = (lines - 1) * (p.stride_h // self._row_stride)
        return reach + ((p.kernel_h - 1) * p.dilation_h + 1)

    def _columns(self, pixels: Expr) -> Expr:
        p = self.geometry
        reach = (pixels - 1) * (p.stride_w // self._column_stride)
        return reach + ((p.kernel_w - 1) * p.dilation_w + 1)

    def _row(
        self,
        b: KernelBuilder,
        source: Buffer,
        line: Expr,
        space: Buffer,
        to: Expr,
        columns: tuple[Expr, Expr] | None,
    ) -> None:
        """Fill a row that is in the image: all of it, or ``columns`` from the first to the last."""
        p, stride = self.geometry, self._column_stride
        inside = [j for j in range(self.width) if 0 <= j * stride - p.pad_left < p.in_w]
        first, end = (inside[0], inside[-1] + 1) if inside else (0, 0)
        start = line + (first * stride - p.pad_left) * p.in_c
        if columns is None:
            self._border(b, space, to, (0, first))
            self._border(b, space, to, (end, self.width))
            target = to + first * p.in_c
            if stride == 1:
                copy(b, self.dot, source, start, space, target, (end - first) * p.in_c)
                return
            count: Expr = end - first
        else:
            since = b.let(minimum(maximum(columns[0], first), columns[1]))
            until = b.let(minimum(maximum(since, end), columns[1]))
            self._border(b, space, to, (columns[0], since))
            self._border(b, space, to, (until, columns[1]))
            start = start + (since - first) * (stride * p.in_c)
            target, count = to + since * p.in_c, until - since
        with b.serial(count) as index:
            pixel = start + index * (stride * p.in_c)
            copy(b, self.dot, source, b.let(pixel), space, target + index * p.in_c, p.in_c)

    def _border(
        self, b: KernelBuilder, space: Buffer, to: Expr, columns: tuple[Expr, Expr] | None
    ) -> None:
        """Fill columns of a row, by default all, with zero points."""
        size, (first, end) = self.geometry.in_c, columns or (0, self.width)
        if isinstance(first, int) and isinstance(end, int):
            fill(b, self.dot, self.zero_point, space, to + first * size, (end - first) * size)
            return
        with b.serial(end - first) as index:
            fill(b, self.dot, self.zero_point, space, b.let(to + (first + index) * size), size)


def element_bytes(dot: Dot) -> int:
    """Bytes of one converted input."""
    return 2 if dot.inputs == "int16" else 1


def copy(
    b: KernelBuilder, dot: Dot, source: Buffer, start: Expr, space: Buffer, to: Expr, length: int
) -> None:
    """Convert ``length`` stored inputs that follow each other."""
    if length == 0:
        return
    vectors = column_vectors(length, COPY_BYTES)
    full = length // COPY_BYTES
    with b.serial(full) as index:
        position = index * COPY_BYTES
        value = dot.convert(b.load(source, start + position, COPY_BYTES), COPY_BYTES)
        b.store(space, to + position, value, COPY_BYTES)
    for position, lanes in vectors[full:]:
        value = dot.convert(b.load(source, start + position, lanes), lanes)
        b.store(space, to + position, value, lanes)


def fill(b: KernelBuilder, dot: Dot, zero_point: int, space: Buffer, to: Expr, length: int) -> None:
    """Write ``length`` zero points in their converted form."""
    if length == 0:
        return
    value = zero_point - dot.input_offset
    vectors = column_vectors(length, COPY_BYTES)
    full = length // COPY_BYTES
    with b.serial(full) as index:
        vector = constant(value, COPY_BYTES, dot.inputs)
        b.store(space, to + index * COPY_BYTES, vector, COPY_BYTES)
    for position, lanes in vectors[full:]:
        b.store(space, to + position, constant(value, lanes, dot.inputs), lanes)
