"""Moves tiles of a Winograd convolution between images and transformed data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, constant, maximum, minimum
from assay.compiler.kernels.epilogue_writer import EpilogueWriter
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.winograd_transforms import apply_data, apply_output


@dataclass(frozen=True)
class TileWriter:
    """Transforms tiles of ``outputs`` x ``outputs`` outputs, one vector of channels at a time.

    Transformed data lie as [positions, block, channels]. On its way, a vector's tile lies in
    ``patch``, of as many vectors as a tile has inputs: tiles that stick out of the image need no
    more than loops with other bounds.
    """

    b: KernelBuilder
    p: Conv2d
    outputs: int
    lanes: int
    block: int
    patch: Buffer

    @property
    def inputs(self) -> int:
        """Inputs along a tile's side."""
        return self.outputs + 2

    def read(self, number: Expr, index: Expr, source: Buffer, data: Buffer) -> None:
        """Transform input tile ``number`` and store it as the ``index``-th of its block."""
        b, p, n = self.b, self.p, self.inputs
        batch, tile_row, tile_column = self._place(number)
        top = b.let(tile_row * self.outputs - p.pad_top)
        left = b.let(tile_column * self.outputs - p.pad_left)
        corner = b.let((batch * p.in_h + top) * p.in_w + left)
        rows, columns = self._overlap(top, n, p.in_h), self._overlap(left, n, p.in_w)
        with b.vectors(p.in_c, self.lanes) as (channel, lanes):
            with b.when(rows[1] * columns[1] < n * n), b.serial(n * n) as place:
                b.store(self.patch, place * self.lanes, constant(0.0, lanes), lanes)
            with b.serial(rows[1]) as i, b.serial(columns[1]) as j:
                y, x = b.let(rows[0] + i), b.let(columns[0] + j)
                value = b.load(source, (corner + y * p.in_w + x) * p.in_c + channel, lanes)
                b.store(self.patch, (y * n + x) * self.lanes, value, lanes)
            places = [[(i * n + j) * self.lanes for j in range(n)] for i in range(n)]
            values = [[b.load(self.patch, place, lanes) for place in row] for row in places]
            for i, row in enumerate(self._both_ways(apply_data, values, lanes)):
                for j, value in enumerate(row):
                    place = ((i * n + j) * self.block + index) * p.in_c + channel
                    b.store(data, place, value, lanes)

    def write(
        self, number: Expr, index: Expr, sums: Buffer, epilogue: EpilogueWriter, output: Buffer
    ) -> None:
        """Transform the ``index``-th tile of the block back and store it as tile ``number``."""
        b, p, n, m = self.b, self.p, self.inputs, self.outputs
        batch, tile_row, tile_column = self._place(number)
        top, left = b.let(tile_row * m), b.let(tile_column * m)
        corner = b.let((batch * p.out_h + top) * p.out_w + left)
        rows, columns = minimum(p.out_h - top, m), minimum(p.out_w - left, m)
        with b.vectors(p.out_c, self.lanes) as (channel, lanes):
            values = [
                [
                    b.load(sums, ((i * n + j) * self.block + index) * p.out_c + channel, lanes)
                    for j in range(n)
                ]
                for i in range(n)
            ]
            start = epilogue.start(channel, lanes)
            for i, row in enumerate(self._both_ways(apply_output, values, lanes)):
                for j, value in enumerate(row):
                    b.store(self.patch, (i * m + j) * self.lanes, value + start, lanes)
            with b.serial(rows) as i, b.serial(columns) as j:
                pixel = b.let(corner + i * p.out_w + j)
                value = b.load(self.patch, (i * m + j) * self.lanes, lanes)
                value = epilogue.finish(value, pixel, batch, channel, lanes)
                b.store(output, pixel * p.out_c + channel, value, lanes)

    def _both_ways(
        self,
        transform: Callable[[KernelBuilder, int, list[Expr], int], list[Expr]],
        values: list[list[Expr]],
        lanes: int,
    ) -> list[list[Expr]]:
        """Transform the columns of a grid of vectors, then its rows."""
        b = self.b
        columns = [
            transform(b, self.outputs, [b.let(value) for value in column], lanes)
            for column in zip(*values, strict=True)
        ]
        return [transform(b, self.outputs, list(row), lanes) for row in zip(*columns, strict=True)]

    def _place(self, number: Expr) -> tuple[Expr, Expr, Expr]:
        """Return batch item, tile row and tile column of a tile."""
        b, p = self.b, self.p
        down, across = -(-p.out_h // self.outputs), -(-p.out_w // self.outputs)
        batch, rest = b.let(number // (down * across)), b.let(number % (down * across))
        return batch, b.let(rest // across), b.let(rest % across)

    def _overlap(self, start: Expr, size: int, image: int) -> tuple[Expr, Expr]:
        """Return the first of ``size`` positions from ``start`` on the image, and their number."""
        b = self.b
        first = b.let(maximum(-start, 0))
        return first, b.let(maximum(minimum(image - start, size) - first, 0))
