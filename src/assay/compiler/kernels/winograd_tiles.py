"""Moves tiles of a Winograd convolution between images and transformed data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tvm import tirx

from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, constant, maximum, minimum
from assay.compiler.kernels.epilogue_writer import EpilogueWriter
from assay.compiler.kernels.panels import split_columns
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.winograd_transforms import apply_data, apply_output


@dataclass(frozen=True)
class TileWriter:
    """Transforms tiles of ``outputs`` x ``outputs`` outputs, one vector of channels at a time.

    Transformed data lie as [positions, block, channels]. A vector's tile passes through a small
    patch of memory, so that tiles that stick out of the image need a loop with other bounds only.
    """

    b: KernelBuilder
    p: Conv2d
    outputs: int
    lanes: int
    block: int

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
        inside = tirx.all(top >= 0, left >= 0, top + n <= p.in_h, left + n <= p.in_w)
        rows, columns = self._overlap(top, n, p.in_h), self._overlap(left, n, p.in_w)
        patch = b.workspace("patch", n * n * self.lanes)

        def copy(i: Expr, j: Expr, channel: Expr, lanes: int) -> None:
            place = (corner + i * p.in_w + j) * p.in_c + channel
            b.store(patch, (i * n + j) * self.lanes, b.load(source, place, lanes), lanes)

        def read_vector(channel: Expr, lanes: int) -> None:
            with b.when(inside):
                for i in range(n):
                    for j in range(n):
                        copy(i, j, channel, lanes)
            with b.when(tirx.Not(inside)):
                with b.serial(n * n) as place:
                    b.store(patch, place * self.lanes, constant(0.0, lanes), lanes)
                with b.serial(rows[1]) as i, b.serial(columns[1]) as j:
                    copy(b.let(rows[0] + i), b.let(columns[0] + j), channel, lanes)
            values = [
                [b.load(patch, (i * n + j) * self.lanes, lanes) for j in range(n)] for i in range(n)
            ]
            transformed = self._both_ways(apply_data, values, lanes)
            for i in range(n):
                for j in range(n):
                    place = ((i * n + j) * self.block + index) * p.in_c + channel
                    b.store(data, place, transformed[i][j], lanes)

        self._channels(p.in_c, read_vector)

    def write(
        self, number: Expr, index: Expr, sums: Buffer, epilogue: EpilogueWriter, output: Buffer
    ) -> None:
        """Transform the ``index``-th tile of the block back and store it as tile ``number``."""
        b, p, n, m = self.b, self.p, self.inputs, self.outputs
        batch, tile_row, tile_column = self._place(number)
        top, left = b.let(tile_row * m), b.let(tile_column * m)
        corner = b.let((batch * p.out_h + top) * p.out_w + left)
        patch = b.workspace("patch", m * m * self.lanes)

        def write_vector(channel: Expr, lanes: int) -> None:
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
                    b.store(patch, (i * m + j) * self.lanes, value + start, lanes)
            rows, columns = minimum(p.out_h - top, m), minimum(p.out_w - left, m)
            with b.serial(rows) as i, b.serial(columns) as j:
                pixel = b.let(corner + i * p.out_w + j)
                value = b.load(patch, (i * m + j) * self.lanes, lanes)
                value = epilogue.finish(value, pixel, batch, channel, lanes)
                b.store(output, pixel * p.out_c + channel, value, lanes)

        self._channels(p.out_c, write_vector)

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

    def _channels(self, channels: int, write: Callable[[Expr, int], None]) -> None:
        for run in split_columns(channels, self.lanes, 1):
            with self.b.serial(run.count) as vector:
                lanes = run.packed_columns
                write(self.b.let(run.start + vector * lanes), lanes)
