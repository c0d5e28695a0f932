"""Rows of a depthwise convolution: register tiles over columns, for any place the input lies in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, RegisterTile
from assay.compiler.kernels.epilogue_writer import EpilogueWriter, Pixels
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.windows import OutputTiles, tile_outputs

MOST_UNROLLED_COLUMNS = 16  # wider windows loop over their columns


@dataclass(frozen=True)
class Lines:
    """Where rows of pixels lie: ``start(batch, row)`` is the first element of a row."""

    buffer: Buffer
    pixel_step: int
    start: Callable[[Expr, Expr], Expr]


@dataclass(frozen=True)
class ChannelVector:
    """``lanes`` channels from ``channel`` on, which start at element ``place`` of each pixel."""

    channel: Expr
    place: Expr
    lanes: int


Channels = Callable[[Callable[[ChannelVector], None]], None]
"""Runs its argument, inside whatever loops, for vectors that cover the channels."""


@dataclass(frozen=True)
class _Segment:
    """``count`` image rows from ``offset`` on; ``taps`` are the output rows' window rows there."""

    offset: int
    count: int
    taps: Mapping[int, int]

    def goes_on(self, offset: int, taps: Mapping[int, int], step: int) -> bool:
        """Tell whether an image row is the next of this segment."""
        expected = {i: tap + self.count for i, tap in self.taps.items()}
        return offset == self.offset + self.count * step and dict(taps) == expected


@dataclass(frozen=True)
class DepthwiseRows:
    """Writes output rows of ``p``, in tiles of at most ``most_columns`` outputs of each row.

    ``fetch_outputs`` asks for where a tile's results go before it is computed. ``share_tiles``
    deals out a row's tiles among threads, and not only rows.
    """

    b: KernelBuilder
    p: Conv2d
    most_columns: int
    lines: Lines
    weights: Buffer
    epilogue: EpilogueWriter
    output: Buffer
    fetch_outputs: bool = False
    share_tiles: bool = False

    def any_row(self, batch: Expr, row: Expr, channels: Channels) -> None:
        """Write one row by a loop over the window rows that lie on the image."""
        b, p = self.b, self.p
        first, count = p.rows.taps(b, row)

        def add(tile: RegisterTile, columns: OutputTiles, column: Expr, at: ChannelVector) -> None:
            with b.serial(count, carry=tile) as index:
                tap = b.let(first + index)
                image_row = row * p.stride_h + tap * p.dilation_h - p.pad_top
                start = self._start(batch, image_row, column, at)
                self._window_row(tile, columns, column, start, {0: tap}, at)

        self._tiles(batch, row, 1, channels, add)

    def complete_rows(self, batch: Expr, row: Expr, rows: int, channels: Channels) -> None:
        """Write ``rows`` rows together whose windows lie on the image."""
        b, p = self.b, self.p

        def add(tile: RegisterTile, columns: OutputTiles, column: Expr, at: ChannelVector) -> None:
            for segment in self._segments(rows):
                with b.serial(segment.count, carry=tile) as turn:
                    step = segment.offset + turn * p.dilation_h
                    image_row = row * p.stride_h - p.pad_top + step
                    start = self._start(batch, image_row, column, at)
                    taps = {i: b.let(tap + turn) for i, tap in segment.taps.items()}
                    self._window_row(tile, columns, column, start, taps, at)

        self._tiles(batch, row, rows, channels, add)

    def _segments(self, rows: int) -> list[_Segment]:
        """Return runs of image rows that the same output rows look at, from the top."""
        p = self.p
        seen: dict[int, dict[int, int]] = defaultdict(dict)
        for i in range(rows):
            for tap in range(p.kernel_h):
                seen[i * p.stride_h + tap * p.dilation_h][i] = tap
        segments: list[_Segment] = []
        for offset, taps in sorted(seen.items()):
            last = segments[-1] if segments else None
            if last is not None and last.goes_on(offset, taps, p.dilation_h):
                segments[-1] = _Segment(last.offset, last.count + 1, last.taps)
            else:
                segments.append(_Segment(offset, 1, taps))
        return segments

    def _tiles(
        self,
        batch: Expr,
        row: Expr,
        rows: int,
        channels: Channels,
        add: Callable[[RegisterTile, OutputTiles, Expr, ChannelVector], None],
    ) -> None:
        b, p = self.b, self.p
        loop = b.parallel if self.share_tiles else b.serial
        for columns in self._column_tiles():
            with loop(columns.count) as index:
                column = b.let(columns.start + index * columns.size)
                corner = b.let((batch * p.out_h + row) * p.out_w + column)
                pixels = Pixels(corner, rows, columns.size, p.out_w)

                def write(
                    at: ChannelVector,
                    columns: OutputTiles = columns,
                    column: Expr = column,
                    pixels: Pixels = pixels,
                ) -> None:
                    vectors = [(0, at.lanes)]
                    if self.fetch_outputs:
                        self.epilogue.prefetch_tile(self.output, pixels, at.channel, vectors)
                    tile = b.registers(rows * columns.size, [at.lanes])
                    self.epilogue.start_tile(tile, at.channel, vectors)
                    add(tile, columns, column, at)
                    self.epilogue.write_tile(tile, self.output, pixels, batch, at.channel, vectors)

                channels(write)

    def _column_tiles(self) -> tuple[OutputTiles, ...]:
        if self.p.kernel_w > MOST_UNROLLED_COLUMNS:
            return (OutputTiles(0, self.p.out_w, 1, complete=False),)
        return tile_outputs(self.p.columns, self.most_columns)

    def _start(self, batch: Expr, image_row: Expr, column: Expr, at: ChannelVector) -> Expr:
        """Return where the first tap of the tile's first output is."""
        p, step = self.p, self.lines.pixel_step
        line = self.lines.start(batch, image_row)
        return self.b.let(line + (column * p.stride_w - p.pad_left) * step + at.place)

    def _window_row(
        self,
        tile: RegisterTile,
        columns: OutputTiles,
        column: Expr,
        start: Expr,
        users: Mapping[int, Expr],
        at: ChannelVector,
    ) -> None:
        """Add one row of the window: ``users`` maps a tile row to the window row it sees there."""
        if self.p.kernel_w > MOST_UNROLLED_COLUMNS:
            self._wide_window_row(tile, column, start, users[0], at)
            return
        b, p = self.b, self.p
        seen: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for j in range(columns.size):
            for tap in range(p.kernel_w):
                if columns.complete or p.columns.inside(columns.start + j, tap):
                    seen[j * p.stride_w + tap * p.dilation_w].append((j, tap))
        weights: dict[tuple[int, int], Expr] = {}
        for offset in sorted(seen):
            value = self._value(start, offset, at)
            for j, tap in seen[offset]:
                for i, window_row in users.items():
                    if (i, tap) not in weights:
                        weights[i, tap] = b.let(self._weight(window_row, tap, at))
                    tile.add_product(i * columns.size + j, 0, value, weights[i, tap])

    def _wide_window_row(
        self, tile: RegisterTile, column: Expr, start: Expr, window_row: Expr, at: ChannelVector
    ) -> None:
        """Add one row of a window to a tile of one output, as a loop over the taps on the image."""
        b, p = self.b, self.p
        first, count = p.columns.taps(b, column)
        with b.serial(count, carry=tile) as index:
            tap = b.let(first + index)
            value = self._value(start, tap * p.dilation_w, at)
            tile.add_product(0, 0, value, self._weight(window_row, tap, at))

    def _value(self, start: Expr, pixels: Expr, at: ChannelVector) -> Expr:
        offset = start + pixels * self.lines.pixel_step
        return self.b.let(self.b.load(self.lines.buffer, offset, at.lanes))

    def _weight(self, window_row: Expr, tap: Expr, at: ChannelVector) -> Expr:
        offset = (window_row * self.p.kernel_w + tap) * self.p.out_c + at.channel
        return self.b.load(self.weights, offset, at.lanes)
