"""Images between NCHW and NHWC, a square of pixels and channels in registers at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tvm import tirx

from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, RegisterTile, minimum
from assay.compiler.kernels.direct_panels import Panel
from assay.compiler.kernels.epilogue_writer import LINE_FLOATS, Pixels
from assay.compiler.kernels.nchw.epilogue_writer import PlaneEpilogueWriter
from assay.compiler.kernels.shuffles import transposed
from assay.compiler.kernels.splits import floor_power_of_two

_MOST_INTERLEAVED = 7  # channels: each vector takes as many shuffles, less one


@dataclass(frozen=True)
class PixelRange:
    """``count`` pixels, known at run time, side by side; never fewer than ``fewest``."""

    count: Expr
    fewest: int

    def side(self, lanes: int) -> int:
        """Return how many pixels, a power of two, to take at once: at most ``lanes``."""
        return min(lanes, floor_power_of_two(self.fewest))

    @contextmanager
    def each(self, b: KernelBuilder, size: int) -> Iterator[Expr]:
        """Loop over ``size`` pixels at a time; yields the first. The last reach back."""
        with b.serial(b.let((self.count + (size - 1)) // size)) as turn:
            yield b.let(minimum(turn * size, self.count - size))


def read_pixels(
    b: KernelBuilder,
    source: tuple[Buffer, Expr],
    planes: tuple[int, int],
    pixels: PixelRange,
    target: Buffer,
    lanes: int,
) -> None:
    """Write pixels of an image in NCHW as [pixel, channel] to ``target``.

    ``source`` is a buffer and where its first channel has the first pixel; ``planes`` are how many
    channels there are, and elements from one to the next.
    """
    channels, step = planes
    buffer, start = source
    if channels <= _MOST_INTERLEAVED:
        size = pixels.side(lanes)
        with pixels.each(b, size) as first:
            values = [
                b.let(b.load(buffer, start + first + i * step, size)) for i in range(channels)
            ]
            for i, value in enumerate(_interleaved(values, size)):
                b.store(target, first * channels + i * size, value, size)
        return
    with b.vectors(channels, pixels.side(lanes)) as (channel, side):
        corner = b.let(start + channel * step)
        with pixels.each(b, side) as first:
            rows = [b.let(b.load(buffer, corner + first + q * step, side)) for q in range(side)]
            for q, pixel in enumerate(transposed(b, rows)):
                b.store(target, (first + q) * channels + channel, pixel, side)


def _interleaved(vectors: Sequence[Expr], size: int) -> list[Expr]:
    """Return the first lanes of all vectors side by side, then the second lanes, and so on."""
    count = len(vectors)
    lanes = [tirx.IntImm("int32", i % count * size + i // count) for i in range(count * size)]
    return [tirx.Shuffle(vectors, lanes[i * size : (i + 1) * size]) for i in range(count)]


@dataclass(frozen=True)
class Chunk:
    """Results of a panel for some pixels; takes register tiles.

    They are collected in memory as [pixel, packed column of the panel] until :meth:`write` brings
    them to ``output``. The first pixel is number ``pixel`` of batch item ``batch``.
    """

    b: KernelBuilder
    epilogue: PlaneEpilogueWriter
    panel: Panel
    output: Buffer
    batch: Expr
    pixel: Expr

    def start_tile(
        self, tile: RegisterTile, column: Expr, vectors: Sequence[tuple[int, int]]
    ) -> None:
        """Set all rows of a tile to what sums start from; ``vectors`` are (channel, lanes)."""
        tile.fill([self.epilogue.start_channels(column + at, lanes) for at, lanes in vectors])

    def prefetch_tile(
        self, buffer: Buffer, pixels: Pixels, column: Expr, vectors: Sequence[tuple[int, int]]
    ) -> None:
        """Ask for the lines of ``output`` that the tile's results will be in.

        Those before its last ones, a line's length apart, have been asked for by the tile before.
        """
        for last in range(pixels.columns - 1, -1, -LINE_FLOATS):
            pixel = self.b.let(pixels.corner + last)
            for at, lanes in vectors:
                for channel in range(at, at + lanes):
                    self.epilogue.prefetch(self.output, self.batch, column + channel, pixel)

    def write_tile(
        self,
        tile: RegisterTile,
        buffer: Buffer,
        pixels: Pixels,
        batch: Expr,
        column: Expr,
        vectors: Sequence[tuple[int, int]],
    ) -> None:
        """Collect a tile of one row per pixel in ``buffer``."""
        b, run = self.b, self.panel.run
        first = b.let((pixels.corner - self.pixel) * run.packed_columns)
        for row in range(pixels.columns):
            for index, start in enumerate(run.packed_starts()):
                place = first + (row * run.packed_columns + start)
                b.store(buffer, place, tile.get(row, index), run.widths[index])

    def write(self, results: Buffer, pixels: PixelRange) -> None:
        """Finish what has been collected in ``results`` and write it to the output's planes."""
        b, run = self.b, self.panel.run
        for start, (offset, lanes) in zip(run.packed_starts(), run.vectors, strict=True):
            side = pixels.side(lanes)
            with b.serial(lanes // side) as part, pixels.each(b, side) as first:
                place = b.let(first * run.packed_columns + start + part * side)
                step = run.packed_columns
                rows = [b.let(b.load(results, place + q * step, side)) for q in range(side)]
                tile = b.registers(side, (side,))
                for q, values in enumerate(transposed(b, rows)):
                    tile.put(q, 0, values)
                channel, pixel = (
                    b.let(self.panel.channel + offset + part * side),
                    self.pixel + first,
                )
                self.epilogue.write_tile(
                    tile, self.output, self.batch, channel, b.let(pixel), [(0, side)]
                )
