"""An image as dot-product instructions take it in NCHW: what one step sums is side by side.

As in ``kernels/nchw/unrolled.py``, an image is unrolled along the columns of the window; but where
that has a plane for each channel and column, here these are dealt out to planes of ``taps`` each,
interleaved pixel by pixel. Channels of one column share planes as long as there are enough of them;
the last few channels, or the only one of a depthwise convolution, share theirs with other columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder
from assay.compiler.kernels.int8.dot import Dot
from assay.compiler.kernels.int8.vectors import bits_as, rounded, shuffle
from assay.compiler.kernels.nchw.gather import gather
from assay.compiler.kernels.nchw.unrolled import (
    UnrolledBand,
    line_places,
    line_runs,
    write_constant,
)
from assay.compiler.kernels.problem import Conv2d

Item = tuple[int, int]
"""A channel, relative to its block's first, and a column of the window."""


def plane_items(channels: int, columns: int, taps: int) -> list[list[Item]]:
    """Deal out the channels of a block and the window's columns to planes of ``taps``."""
    items = [(channel, column) for column in range(columns) for channel in range(channels)]
    return [items[start : start + taps] for start in range(0, len(items), taps)]


@dataclass(frozen=True)
class InterleavedBand:
    """The planes of one group's input channels for a band of ``lines`` output lines."""

    p: Conv2d
    dot: Dot
    zero_point: int
    lines: int

    @property
    def band(self) -> UnrolledBand:
        """One plane, which stands for one column of the window or a few."""
        return UnrolledBand(self.p.rows, replace(self.p.columns, kernel=1), self.lines)

    @property
    def channels(self) -> int:
        """Input channels of a group."""
        return self.p.in_c // self.p.groups

    @property
    def planes(self) -> int:
        """Planes of all channels."""
        blocks, rest = divmod(self.channels, self.dot.taps)
        return blocks * self.p.kernel_w + len(plane_items(rest, self.p.kernel_w, self.dot.taps))

    @property
    def plane_step(self) -> int:
        """Elements from one plane to the next."""
        return self.band.size * self.dot.taps

    def tap(self, row: Expr) -> Expr:
        """Return where a row of the window has its pixel of the band's first output."""
        return self.band.tap(row, 0) * self.dot.taps

    def pack(self, weights: NDArray[np.int8], zero_point: int) -> NDArray[np.integer]:
        """Arrange a group's weights HWIO as [plane, window row, output channel, taps].

        They are int16, less their zero point, if the instruction takes such. What a plane holds
        beyond the last channel and column meets zeros.
        """
        wide = self.dot.wide_weights
        values = weights.astype(np.int16) - zero_point if wide else weights
        rows, _, channels, outputs = values.shape
        taps, pieces = self.dot.taps, []
        for start in range(0, channels, taps):
            block = min(taps, channels - start)
            for items in plane_items(block, self.p.kernel_w, taps):
                plane = np.zeros((rows, outputs, taps), values.dtype)
                for tap, (channel, column) in enumerate(items):
                    plane[:, :, tap] = values[:, column, start + channel]
                pieces.append(plane)
        return np.stack(pieces)

    def fill(
        self, b: KernelBuilder, source: Buffer, image: Expr, space: Buffer, line: Expr, lanes: int
    ) -> None:
        """Write all planes of a group; ``image`` is where its first channel is in the source."""
        p, taps = self.p, self.dot.taps
        blocks, rest = divmod(self.channels, taps)
        whole = plane_items(taps, p.kernel_w, taps)
        if blocks:
            with b.serial(blocks) as block:
                first = b.let(image + block * (taps * p.in_h * p.in_w))
                start = b.let(block * (len(whole) * self.plane_step))
                self._block(b, source, first, space, start, line, lanes, whole)
        if rest:
            first = b.let(image + blocks * (taps * p.in_h * p.in_w))
            start = blocks * (len(whole) * self.plane_step)
            items = plane_items(rest, p.kernel_w, taps)
            self._block(b, source, first, space, start, line, lanes, items)

    def _block(
        self,
        b: KernelBuilder,
        source: Buffer,
        image: Expr,
        space: Buffer,
        start: Expr,
        line: Expr,
        lanes: int,
        planes: list[list[Item]],
    ) -> None:
        taps, width = self.dot.taps, self.p.out_w * self.dot.taps
        nothing = self.zero_point - self.dot.input_offset

        def inside(at: Expr, place: Expr) -> None:
            base = b.let(image + at * self.p.in_w)
            for index, items in enumerate(planes):
                target = b.let(start + index * self.plane_step + place * taps)
                self._line(b, source, base, space, target, lanes, items)

        def outside(place: Expr) -> None:
            with b.serial(len(planes)) as index:
                target = b.let(start + index * self.plane_step + place * taps)
                write = partial(write_constant, b, space, target, width, lanes * taps)
                write(nothing, self.dot.inputs)

        self.band.each_line(b, line, inside, outside)

    def _line(
        self,
        b: KernelBuilder,
        source: Buffer,
        base: Expr,
        space: Buffer,
        target: Expr,
        lanes: int,
        items: list[Item],
    ) -> None:
        p, taps = self.p, self.dot.taps
        for run in line_runs(p.columns, sorted({column for _, column in items}), lanes):
            with b.serial(run.count) as turn:
                moved = b.let(base + turn * (run.lanes * p.stride_w))
                values = []
                for channel, column in items:
                    places = line_places(p.columns, column, run.start, run.lanes)
                    at = moved + channel * (p.in_h * p.in_w)
                    value = b.let(gather(b, source, at, places, self.zero_point, "uint8"))
                    value = self.dot.convert(_settled(value, "uint8", run.lanes), run.lanes)
                    values.append(b.let(value))
                values += [values[-1]] * (taps - len(values))
                place = target + (run.start + turn * run.lanes) * taps
                b.store(
                    space,
                    place,
                    side_by_side(b, values, self.dot.inputs, run.lanes),
                    taps * run.lanes,
                )


def side_by_side(b: KernelBuilder, vectors: Sequence[Expr], dtype: str, lanes: int) -> Expr:
    """Return lane 0 of all vectors, then lane 1...; there are 1, 2, or 4 of bytes."""
    if len(vectors) == 1:
        return vectors[0]
    pairs = [
        b.let(_alternating(vectors[i], vectors[i + 1], lanes)) for i in range(0, len(vectors), 2)
    ]
    if len(pairs) == 1:
        return pairs[0]
    words = [b.let(bits_as("int16", _settled(pair, dtype, 2 * lanes), lanes)) for pair in pairs]
    return bits_as(dtype, _alternating(words[0], words[1], lanes), 4 * lanes)


def _alternating(left: Expr, right: Expr, lanes: int) -> Expr:
    return shuffle((left, right), [lane + start for lane in range(lanes) for start in (0, lanes)])


def _settled(value: Expr, dtype: str, count: int) -> Expr:
    """Keep LLVM from merging shuffles of bytes before and behind: it would think very long."""
    if count % 4:
        return value
    return bits_as(dtype, rounded(bits_as("float32", value, count // 4), count // 4), count)
