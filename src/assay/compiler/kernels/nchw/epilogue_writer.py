"""Code of epilogues in NCHW: a vector holds pixels of one channel."""

from __future__ import annotations

from collections.abc import Sequence

from assay.compiler.kernels.builder import (
    Buffer,
    Expr,
    KernelBuilder,
    RegisterTile,
    broadcast,
    constant,
)
from assay.compiler.kernels.epilogue import Epilogue, Inside, Step, bias
from assay.compiler.kernels.epilogue_writer import apply_step

_STACK_FLOATS = 255  # TVM takes less than 1 KiB from the stack


class PlaneEpilogueWriter:
    """Emits an epilogue for vectors of pixels; a leading bias starts the sums instead."""

    def __init__(
        self,
        builder: KernelBuilder,
        epilogue: Epilogue,
        output: Sequence[int],
        sums_start: bool = True,
    ) -> None:
        """Declare the operands as parameters of the kernel, for an output of shape NCHW.

        A kernel whose results are no sums (``sums_start`` false) treats a bias as any step.
        """
        self._builder = builder
        self._channels, self._pixels = output[1], output[2] * output[3]
        image = self._channels * self._pixels
        self._inside = epilogue.inside or Inside(output[0] * image, 0, image)
        self.is_long = epilogue.is_long
        shapes = iter(enumerate(epilogue.operand_shapes(output, channel_axis=1)))
        self._steps: list[tuple[Step, Buffer | None]] = []
        for step in epilogue.steps:
            buffer = None
            if step.operand:
                index, shape = next(shapes)
                buffer = builder.parameter(f"operand{index}", shape)
            self._steps.append((step, buffer))
        self._bias = None
        if sums_start and self._steps and self._steps[0][0] == bias():
            self._bias = self._steps.pop(0)[1]

    def start(self, channel: Expr, lanes: int) -> Expr:
        """Return what the sums of a channel start from: zero, or the bias."""
        if self._bias is None:
            return constant(0.0, lanes)
        return self._builder.let(broadcast(self._builder.load(self._bias, channel), lanes))

    def start_channels(self, channel: Expr, lanes: int) -> Expr:
        """Return what the sums of one pixel start from, for ``lanes`` channels side by side."""
        if self._bias is None:
            return constant(0.0, lanes)
        return self._builder.let(self._builder.load(self._bias, channel, lanes))

    def finish(self, value: Expr, batch: Expr, channel: Expr, pixel: Expr, lanes: int) -> Expr:
        """Apply the steps to pixels of one channel, the first of which is ``pixel``."""
        b = self._builder
        plane = b.let(batch * self._channels + channel)
        for step, buffer in self._steps:
            right = None
            if step.operand == "tensor":
                right = b.load(buffer, plane * self._pixels + pixel, lanes)
            elif step.operand is not None:
                place = channel if step.operand == "channel" else plane
                right = broadcast(b.load(buffer, place), lanes)
            value = apply_step(b, step, value, right, lanes)
        return value

    def prefetch(self, buffer: Buffer, batch: Expr, channel: Expr, pixel: Expr) -> None:
        """Ask for the cache line that a pixel's result is going to be written to."""
        image = batch * self._inside.step + self._inside.first
        place = image + channel * self._pixels + pixel
        self._builder.prefetch(buffer, place, to_write=True)

    def write_tile(
        self,
        tile: RegisterTile,
        buffer: Buffer,
        batch: Expr,
        channel: Expr,
        pixel: Expr,
        vectors: Sequence[tuple[int, int]],
    ) -> None:
        """Finish a tile of one row per channel and store it; ``vectors`` are (pixel, lanes)."""
        for index, (offset, lanes) in enumerate(vectors):
            first = self._builder.let(pixel + offset)
            if self.is_long:
                self._write_in_loops(tile, index, buffer, batch, channel, first, lanes)
                continue
            for row in range(tile.rows):
                self.write(tile.get(row, index), buffer, batch, channel + row, first, lanes)

    def write(
        self, value: Expr, buffer: Buffer, batch: Expr, channel: Expr, pixel: Expr, lanes: int
    ) -> None:
        """Apply the steps to pixels of one channel and store them."""
        value = self.finish(value, batch, channel, pixel, lanes)
        image = batch * self._inside.step + self._inside.first
        self._builder.store(buffer, image + channel * self._pixels + pixel, value, lanes)

    def _write_in_loops(
        self,
        tile: RegisterTile,
        index: int,
        buffer: Buffer,
        batch: Expr,
        channel: Expr,
        pixel: Expr,
        lanes: int,
    ) -> None:
        """Write a column of vectors by loops over a copy of it: long steps appear once each."""
        b, most = self._builder, _STACK_FLOATS // lanes
        for start in range(0, tile.rows, most):
            count = min(most, tile.rows - start)
            copy = b.workspace("copy", count * lanes)
            for row in range(count):
                b.store(copy, row * lanes, tile.get(start + row, index), lanes)
            with b.serial(count) as turn:
                value = b.let(b.load(copy, turn * lanes, lanes))
                self.write(value, buffer, batch, channel + start + turn, pixel, lanes)
