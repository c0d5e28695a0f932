"""Moves strips of a Winograd convolution between images in NCHW and transformed data.

A strip is a few tiles of a row of tiles. Its pixels are transposed in registers to [row, column,
channel], one vector of channels at a time, and transformed from there; results go the other way.
"""

from __future__ import annotations

from dataclasses import dataclass

from assay.compiler.kernels.builder import (
    Buffer,
    Expr,
    KernelBuilder,
    constant,
    maximum,
    minimum,
)
from assay.compiler.kernels.epilogue_writer import LINE_FLOATS
from assay.compiler.kernels.nchw.epilogue_writer import PlaneEpilogueWriter
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.shuffles import transposed
from assay.compiler.kernels.splits import floor_power_of_two
from assay.compiler.kernels.winograd_transforms import apply_data, apply_output
from assay.compiler.target import Isa


@dataclass(frozen=True)
class Strips:
    """Rows of tiles in ``across`` strips of ``size`` tiles each, the last of which may overlap."""

    outputs: int
    size: int
    across: int
    down: int
    batch: int
    margin: int

    @property
    def inputs(self) -> int:
        """Inputs along a tile's side."""
        return self.outputs + 2

    @property
    def columns(self) -> int:
        """Columns of the image that a strip sees."""
        return self.size * self.outputs + 2

    @property
    def line(self) -> int:
        """Vectors of channels from one of a strip's rows to the next, with a margin each side."""
        return self.columns + 2 * self.margin

    @property
    def count(self) -> int:
        """Strips in all."""
        return self.batch * self.down * self.across


def cut(p: Conv2d, isa: Isa, outputs: int) -> Strips:
    """Choose strips of which a vector of channels fits half the first-level cache.

    None of several is narrower than a vector, which stays within a strip's outputs.
    """
    lanes = isa.lanes()
    down, tiles = -(-p.out_h // outputs), -(-p.out_w // outputs)
    fitting = isa.l1_bytes // 2 // (4 * lanes * (outputs + 2) * outputs)
    least = -(-(lanes + outputs - 1) // outputs)
    across = -(-tiles // max(fitting, least))
    size = max(-(-tiles // across), least) if across > 1 else tiles
    across = -(-tiles // size)
    return Strips(outputs, size, across, down, p.batch, min(lanes, floor_power_of_two(p.in_w)))


@dataclass(frozen=True)
class StripWriter:
    """Moves strips between images and transformed data, [positions, tiles, channels].

    ``data_step`` and ``sums_step`` are the elements from one position to the next; ``strip`` and
    ``patch`` hold a strip's and a tile's columns while one vector of channels is transformed.
    """

    b: KernelBuilder
    p: Conv2d
    strips: Strips
    lanes: int
    data_step: int
    sums_step: int
    strip: Buffer
    patch: Buffer

    def read(self, number: Expr, index: Expr, source: Buffer, data: Buffer) -> None:
        """Transform a strip's inputs; its first tile is the ``index``-th of its block."""
        b, p, s = self.b, self.p, self.strips
        n, m = s.inputs, s.outputs
        batch, tile_row, tile_column = self._place(number)
        top, left = b.let(tile_row * m - p.pad_top), b.let(tile_column * m - p.pad_left)
        with b.vectors(p.in_c, self.lanes) as (channel, lanes):
            self._transpose_inputs(source, batch, channel, lanes, top, left)
            with b.serial(s.columns) as column:
                places = [(i * s.line + s.margin + column) * lanes for i in range(n)]
                values = [b.let(b.load(self.strip, place, lanes)) for place in places]
                for place, value in zip(places, apply_data(b, m, values, lanes), strict=True):
                    b.store(self.strip, place, value, lanes)
            with b.serial(s.size) as tile, b.serial(n) as i:
                first = b.let((i * s.line + s.margin + tile * m) * lanes)
                values = [b.let(b.load(self.strip, first + j * lanes, lanes)) for j in range(n)]
                target = b.let(i * n * self.data_step + (index + tile) * p.in_c + channel)
                for j, value in enumerate(apply_data(b, m, values, lanes)):
                    b.store(data, target + j * self.data_step, value, lanes)

    def write(
        self, number: Expr, index: Expr, sums: Buffer, epilogue: PlaneEpilogueWriter, output: Buffer
    ) -> None:
        """Transform a strip's sums back and store its outputs."""
        b, p, s = self.b, self.p, self.strips
        n, m = s.inputs, s.outputs
        batch, tile_row, tile_column = self._place(number)
        top, left = b.let(tile_row * m), b.let(tile_column * m)
        with b.vectors(p.out_c, self.lanes) as (channel, lanes):
            with b.serial(s.size) as tile:
                self._prefetch_outputs(output, epilogue, batch, channel, lanes, top, left, tile)
                with b.serial(n) as j:
                    place = b.let(j * self.sums_step + (index + tile) * p.out_c + channel)
                    places = [place + i * n * self.sums_step for i in range(n)]
                    values = [b.let(b.load(sums, place, lanes)) for place in places]
                    for i, value in enumerate(apply_output(b, m, values, lanes)):
                        b.store(self.patch, (i * n + j) * lanes, value, lanes)
                with b.serial(m) as i:
                    places = [(i * n + j) * lanes for j in range(n)]
                    values = [b.let(b.load(self.patch, place, lanes)) for place in places]
                    target = b.let((i * s.line + tile * m) * lanes)
                    for j, value in enumerate(apply_output(b, m, values, lanes)):
                        b.store(self.strip, target + j * lanes, value, lanes)
            self._transpose_outputs(output, epilogue, batch, channel, lanes, top, left)

    def _place(self, number: Expr) -> tuple[Expr, Expr, Expr]:
        """Return batch item, tile row and first tile column of a strip."""
        b, s = self.b, self.strips
        tiles = -(-self.p.out_w // s.outputs)
        row, strip = b.let(number // s.across), number % s.across
        column = b.let(minimum(strip * s.size, tiles - s.size))
        return b.let(row // s.down), b.let(row % s.down), column

    def _transpose_inputs(
        self, source: Buffer, batch: Expr, channel: Expr, lanes: int, top: Expr, left: Expr
    ) -> None:
        """Write the strip's pixels as [row, column, channel], with zeros beside the image."""
        b, p, s = self.b, self.p, self.strips
        first, rows = self._on_image(top, p.in_h, s.inputs)
        start, columns = self._on_image(left, p.in_w, s.columns)
        above, before = b.let(first - top), b.let(start - left)
        self._clear(0, above, 0, s.columns, lanes)
        self._clear(above + rows, s.inputs - above - rows, 0, s.columns, lanes)
        self._clear(above, rows, 0, before, lanes)
        self._clear(above, rows, before + columns, s.columns - before - columns, lanes)
        side, plane = min(lanes, s.margin), p.in_h * p.in_w
        with b.serial(rows) as row, b.serial(b.let((columns + (side - 1)) // side)) as turn:
            # The last square may begin before the strip does; the margin takes what is too much.
            x = b.let(minimum(start + turn * side, p.in_w - side))
            target = b.let(((above + row) * s.line + s.margin + x - left) * lanes)
            with b.serial(lanes // side) as group:
                image = (batch * p.in_c + channel + group * side) * plane
                place = b.let(image + (first + row) * p.in_w + x)
                square = [b.let(b.load(source, place + q * plane, side)) for q in range(side)]
                for q, pixel in enumerate(transposed(b, square)):
                    b.store(self.strip, target + q * lanes + group * side, pixel, side)

    def _prefetch_outputs(
        self,
        output: Buffer,
        epilogue: PlaneEpilogueWriter,
        batch: Expr,
        channel: Expr,
        lanes: int,
        top: Expr,
        left: Expr,
        tile: Expr,
    ) -> None:
        """Ask for a tile's share of the lines that the strip's outputs of these channels go to."""
        b, p, s = self.b, self.p, self.strips
        lines = -(-s.size * s.outputs // LINE_FLOATS) * lanes
        share = -(-lines // s.size)
        with b.serial(share) as turn:
            line = b.let(minimum(tile * share + turn, lines - 1))
            pixel = b.let(top * p.out_w + left + line // lanes * LINE_FLOATS)
            for row in range(s.outputs):
                place = channel + line % lanes, pixel + row * p.out_w
                epilogue.prefetch(output, batch, *place)

    def _transpose_outputs(
        self,
        output: Buffer,
        epilogue: PlaneEpilogueWriter,
        batch: Expr,
        channel: Expr,
        lanes: int,
        top: Expr,
        left: Expr,
    ) -> None:
        """Write the strip's [row, column, channel] to the planes of the output."""
        b, p, s = self.b, self.p, self.strips
        side = min(lanes, floor_power_of_two(p.out_w))
        rows = b.let(minimum(p.out_h - top, s.outputs))
        columns = b.let(minimum(p.out_w - left, s.size * s.outputs))
        with b.serial(rows) as row, b.serial(b.let((columns + (side - 1)) // side)) as turn:
            x = b.let(minimum(turn * side, columns - side))
            pixel = b.let((top + row) * p.out_w + left + x)
            with b.serial(lanes // side) as group:
                place = b.let((row * s.line + x) * lanes + group * side)
                square = [b.let(b.load(self.strip, place + q * lanes, side)) for q in range(side)]
                first = b.let(channel + group * side)
                tile = b.registers(side, (side,))
                for q, values in enumerate(transposed(b, square)):
                    tile.put(q, 0, values + epilogue.start(first + q, side))
                epilogue.write_tile(tile, output, batch, first, pixel, [(0, side)])

    def _on_image(self, start: Expr, size: int, most: int) -> tuple[Expr, Expr]:
        """Return the first line of the image among ``most`` from ``start`` on, and how many are.

        Offsets of the image that begin from that line have no negative term: LLVM then knows that
        they do not overflow, and computes them as part of a load.
        """
        b = self.b
        first = b.let(maximum(start, 0))
        return first, b.let(maximum(minimum(size - first, most - (first - start)), 0))

    def _clear(self, row: Expr, rows: Expr, column: Expr, columns: Expr, lanes: int) -> None:
        b, s = self.b, self.strips
        with b.serial(rows) as i, b.serial(columns) as j:
            place = ((row + i) * s.line + s.margin + column + j) * lanes
            b.store(self.strip, place, constant(0.0, lanes), lanes)
