"""Code of epilogues: results on their way from registers to memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from assay.compiler.kernels.activations import BINARY, UNARY
from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, RegisterTile, constant
from assay.compiler.kernels.epilogue import Epilogue, Operand, Step

_STACK_FLOATS = 255  # TVM takes less than 1 KiB from the stack
LINE_FLOATS = 16  # of a cache line; where lines are longer, some are asked for twice


@dataclass(frozen=True)
class Pixels:
    """``rows`` x ``columns`` output pixels from ``corner`` on.

    Rows are ``row_step`` pixels apart, columns ``column_step``. Pixels count through all batch
    items. A register tile holds them row by row.
    """

    corner: Expr
    rows: int
    columns: int
    row_step: int = 0
    column_step: int = 1

    def at(self, row: int, column: Expr) -> Expr:
        """Return the number of a pixel."""
        return self.corner + (row * self.row_step + column * self.column_step)


class ResultWriter(Protocol):
    """What becomes of register tiles: they start from something and end in memory."""

    def start_tile(
        self, tile: RegisterTile, column: Expr, vectors: Sequence[tuple[int, int]]
    ) -> None:
        """Set all rows of a tile to what sums start from; ``vectors`` are (channel, lanes)."""

    def prefetch_tile(
        self, buffer: Buffer, pixels: Pixels, column: Expr, vectors: Sequence[tuple[int, int]]
    ) -> None:
        """Ask for the cache lines that :meth:`write_tile` is going to write."""

    def write_tile(
        self,
        tile: RegisterTile,
        buffer: Buffer,
        pixels: Pixels,
        batch: Expr,
        column: Expr,
        vectors: Sequence[tuple[int, int]],
    ) -> None:
        """Store a tile of one row per pixel; ``vectors`` are (channel, lanes)."""


class EpilogueWriter:
    """Emits an epilogue for vectors of outputs; a leading bias starts the sums instead."""

    def __init__(
        self,
        builder: KernelBuilder,
        epilogue: Epilogue,
        output: Sequence[int],
        prefix: str = "operand",
        *,
        sums_start: bool = True,
    ) -> None:
        """Declare the operands as parameters of the kernel, for an output of the given shape.

        With ``sums_start`` the kernel starts its sums from :meth:`start`.
        """
        self._builder = builder
        self._channels = output[-1]
        self._inside = epilogue.placement(output)
        self._stored_alone = epilogue.inside is None
        self._is_long = epilogue.is_long
        shapes = iter(enumerate(epilogue.operand_shapes(output)))
        self._steps: list[tuple[Step, Buffer | None]] = []
        for step in epilogue.steps:
            buffer = None
            if step.operand:
                index, shape = next(shapes)
                buffer = builder.parameter(f"{prefix}{index}", shape)
            self._steps.append((step, buffer))
        self._bias = None
        if sums_start and epilogue.starts_with_bias:
            self._bias = self._steps.pop(0)[1]

    def let_results_replace_operands(self) -> None:
        """Let results be where an operand of their shape is; the kernel writes each only once."""
        if self._stored_alone:
            for step, buffer in self._steps:
                if step.operand == "tensor":
                    self._builder.let_results_replace(buffer)

    def start_tile(
        self, tile: RegisterTile, column: Expr, vectors: Sequence[tuple[int, int]]
    ) -> None:
        """Set all rows of a tile to what sums start from; ``vectors`` are (channel, lanes)."""
        tile.fill([self.start(column + offset, lanes) for offset, lanes in vectors])

    def start(self, channel: Expr, lanes: int) -> Expr:
        """Return what the sums of ``lanes`` channels start from: zero, or the bias."""
        if self._bias is None:
            return constant(0.0, lanes)
        return self._builder.let(self._builder.load(self._bias, channel, lanes))

    def prefetch_tile(
        self, buffer: Buffer, pixels: Pixels, column: Expr, vectors: Sequence[tuple[int, int]]
    ) -> None:
        """Ask for the cache lines that :meth:`write_tile` is going to write."""
        offset, lanes = vectors[-1]
        width = offset + lanes
        starts = list(range(0, width, LINE_FLOATS))
        steps = (self._inside.first, self._inside.step, width)
        if any(step % LINE_FLOATS for step in steps):  # ends may share another line
            starts.append(width - 1)
        for row in range(pixels.rows):
            for pixel in range(pixels.columns):
                place = self.target(pixels.at(row, pixel), column)
                for start in starts:
                    self._builder.prefetch(buffer, place + start, to_write=True)

    def target(self, pixel: Expr, channel: Expr) -> Expr:
        """Return where in the output's buffer a channel of a pixel goes."""
        return self._inside.place(pixel, channel)

    def finish(self, value: Expr, pixel: Expr, batch: Expr, channel: Expr, lanes: int) -> Expr:
        """Apply the steps to a vector at (pixel, channel)."""
        for step, buffer in self._steps:
            right = None
            if buffer is not None:
                offset = self._offset(step.operand, pixel, batch, channel)
                right = self._builder.load(buffer, offset, lanes)
            value = apply_step(self._builder, step, value, right, lanes)
        return value

    def write_tile(
        self,
        tile: RegisterTile,
        buffer: Buffer,
        pixels: Pixels,
        batch: Expr,
        column: Expr,
        vectors: Sequence[tuple[int, int]],
        place: Callable[[int, Expr, int], Expr] | None = None,
    ) -> None:
        """Finish a tile of one row per pixel and store it; ``vectors`` are (channel, lanes).

        ``place(row, column, vector)`` is where a vector of a pixel goes in the buffer, by default
        to its pixel and channel.
        """
        b = self._builder

        def write(row: int, pixel: Expr, index: int, value: Expr) -> None:
            offset, lanes = vectors[index]
            number = pixels.at(row, pixel)
            channel = column + offset
            value = self.finish(value, number, batch, channel, lanes)
            target = place(row, pixel, index) if place else self.target(number, channel)
            b.store(buffer, target, value, lanes)

        for row in range(pixels.rows):
            first = row * pixels.columns
            if self._is_long:
                self._write_row_in_loops(tile, first, pixels.columns, row, write)
                continue
            for pixel in range(pixels.columns):
                for index in range(len(vectors)):
                    write(row, pixel, index, tile.get(first + pixel, index))

    def _write_row_in_loops(
        self,
        tile: RegisterTile,
        first: int,
        columns: int,
        row: int,
        write: Callable[[int, Expr, int, Expr], None],
    ) -> None:
        """Write a row of pixels by loops over a copy of their sums: long steps appear once each."""
        b = self._builder
        for index, lanes in enumerate(tile.widths):
            most = _STACK_FLOATS // lanes
            for start in range(0, columns, most):
                count = min(most, columns - start)
                copy = b.workspace("copy", count * lanes)
                for pixel in range(count):
                    b.store(copy, pixel * lanes, tile.get(first + start + pixel, index), lanes)
                with b.serial(count) as turn:
                    value = b.let(b.load(copy, turn * lanes, lanes))
                    write(row, turn + start, index, value)

    def _offset(self, operand: Operand | None, pixel: Expr, batch: Expr, channel: Expr) -> Expr:
        if operand == "channel":
            return channel
        row = pixel if operand == "tensor" else batch
        return row * self._channels + channel


def apply_step(b: KernelBuilder, step: Step, value: Expr, right: Expr, lanes: int) -> Expr:
    """Return the step's result; ``right`` is its operand's vector, None if it has none."""
    if step.op in UNARY:
        return UNARY[step.op].write(b, value, lanes, *step.constants)
    if step.operand is None:
        right = constant(step.constants[0], lanes)
    return BINARY[step.op](value, right)
