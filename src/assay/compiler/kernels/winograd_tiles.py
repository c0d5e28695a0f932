"""Moves tiles of a Winograd convolution between images and transformed data."""

from __future__ import annotations

from dataclasses import dataclass

from assay.compiler.kernels.builder import (
    Buffer,
    Expr,
    KernelBuilder,
    constant,
    maximum,
    minimum,
    within,
)
from assay.compiler.kernels.epilogue_writer import LINE_FLOATS, EpilogueWriter
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.winograd_transforms import apply_data, apply_output


@dataclass(frozen=True)
class TileWriter:
    """Transforms tiles of ``outputs`` x ``outputs`` outputs, one vector of channels at a time.

    Transformed data lie as [positions, tiles, channels], positions ``data_step`` or ``sums_step``
    elements apart. Between the transform of a tile's rows and that of its columns a vector's tile
    lies in ``patch``, of as many vectors as a tile has inputs. Which columns are on the image is
    known when the code is generated; rows are loops, whose bounds leave out what is not.
    """

    b: KernelBuilder
    p: Conv2d
    outputs: int
    lanes: int
    data_step: int
    sums_step: int
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
        first, count = self._rows_on_image(top)
        with b.vectors(p.in_c, self.lanes) as (channel, lanes):
            with b.when(count < n), b.serial(n * n) as place:
                b.store(self.patch, place * self.lanes, constant(0.0, lanes), lanes)
            for begin, end, columns in self._column_runs():
                with b.when(within(tile_column, begin, end)), b.serial(count) as row:
                    y = b.let(first + row)
                    line = b.let((corner + y * p.in_w) * p.in_c + channel)
                    values = [
                        b.let(b.load(source, line + j * p.in_c, lanes)) if j in columns else None
                        for j in range(n)
                    ]
                    for j, value in enumerate(apply_data(b, self.outputs, values, lanes)):
                        b.store(self.patch, (y * n + j) * self.lanes, value, lanes)
            with b.serial(n) as j:
                places = [(i * n + j) * self.lanes for i in range(n)]
                values = [b.let(b.load(self.patch, place, lanes)) for place in places]
                target = b.let(j * self.data_step + index * p.in_c + channel)
                for i, value in enumerate(apply_data(b, self.outputs, values, lanes)):
                    b.store(data, target + i * n * self.data_step, value, lanes)

    def write(
        self, number: Expr, index: Expr, sums: Buffer, epilogue: EpilogueWriter, output: Buffer
    ) -> None:
        """Transform the ``index``-th tile of the block back and store it as tile ``number``.

        It asks for the lines that it stores to first, as processors do not read ahead for stores.
        """
        b, p, n, m = self.b, self.p, self.inputs, self.outputs
        batch, tile_row, tile_column = self._place(number)
        top, left = b.let(tile_row * m), b.let(tile_column * m)
        corner = b.let((batch * p.out_h + top) * p.out_w + left)
        rows, columns = b.let(minimum(p.out_h - top, m)), b.let(minimum(p.out_w - left, m))
        with b.vectors(p.out_c, self.lanes) as (channel, lanes):
            starts_line = lanes >= LINE_FLOATS or channel % LINE_FLOATS < lanes
            with b.when(starts_line), b.serial(rows) as i:
                first = b.let(corner + i * p.out_w)
                for j in range(m):
                    place = epilogue.target(first + j, channel)
                    b.prefetch(output, place, to_write=True)
            with b.serial(n) as j:
                place = b.let(j * self.sums_step + index * p.out_c + channel)
                values = [
                    b.let(b.load(sums, place + i * n * self.sums_step, lanes)) for i in range(n)
                ]
                for i, value in enumerate(apply_output(b, m, values, lanes)):
                    b.store(self.patch, (i * n + j) * self.lanes, value, lanes)
            start = epilogue.start(channel, lanes)
            with b.serial(rows) as i:
                line = [
                    b.let(b.load(self.patch, (i * n + j) * self.lanes, lanes)) for j in range(n)
                ]
                for j, value in enumerate(apply_output(b, m, line, lanes)):
                    b.store(self.patch, (i * n + j) * self.lanes, value + start, lanes)
                with b.serial(columns) as j:
                    pixel = b.let(corner + i * p.out_w + j)
                    value = b.load(self.patch, (i * n + j) * self.lanes, lanes)
                    value = epilogue.finish(value, pixel, batch, channel, lanes)
                    b.store(output, epilogue.target(pixel, channel), value, lanes)

    def _place(self, number: Expr) -> tuple[Expr, Expr, Expr]:
        """Return batch item, tile row and tile column of a tile."""
        b, p = self.b, self.p
        down, across = -(-p.out_h // self.outputs), -(-p.out_w // self.outputs)
        batch, rest = b.let(number // (down * across)), b.let(number % (down * across))
        return batch, b.let(rest // across), b.let(rest % across)

    def _rows_on_image(self, top: Expr) -> tuple[Expr, Expr]:
        """Return the first row of a tile that is on the image, and how many are."""
        b, p, n = self.b, self.p, self.inputs
        first = b.let(maximum(-top, 0))
        return first, b.let(maximum(minimum(p.in_h - top, n) - first, 0))

    def _column_runs(self) -> list[tuple[int, int, range]]:
        """Return runs of tile columns, [begin, end), that have the same columns on the image."""
        p, runs = self.p, list[tuple[int, int, range]]()
        for tile in range(-(-p.out_w // self.outputs)):
            left = tile * self.outputs - p.pad_left
            columns = range(max(-left, 0), max(min(p.in_w - left, self.inputs), 0))
            if runs and runs[-1][2] == columns:
                runs[-1] = (runs[-1][0], tile + 1, columns)
            else:
                runs.append((tile, tile + 1, columns))
        return runs
