"""Quantized depthwise convolution: each channel by itself, vectors of channels, any window.

Image rows are brought side by side once, in groups of as many as a dot product sums. A register
tile is some columns of one output line, of one vector of channels or several. It goes through the
groups one by one: of each it holds the weights of a window's columns in registers, too, and meets
each of the pixels that it sees once.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.compiler.kernels.builder import Buffer, Expr, minimum
from assay.compiler.kernels.int8.builder import IntegerKernelBuilder
from assay.compiler.kernels.int8.depthwise_pack import (
    ChannelRun,
    Channels,
    Constants,
    channel_runs,
    depthwise_dot,
    pack_taps,
    packed_channels,
    repeated_channels,
)
from assay.compiler.kernels.int8.dot import Dot
from assay.compiler.kernels.int8.epilogue import OutputWriter
from assay.compiler.kernels.int8.grouped_band import GroupedBand
from assay.compiler.kernels.int8.interleave import MOST_INTERLEAVED, channel_order, most_channels
from assay.compiler.kernels.int8.panels import LEAST_LANES
from assay.compiler.kernels.int8.problem import PackedWeights, QuantizedConv2d
from assay.compiler.kernels.int8.row_groups import RowGroups
from assay.compiler.kernels.int8.sums import SumTile
from assay.compiler.kernels.int8.vectors import anew
from assay.compiler.kernels.int8.views import Part
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

MOST_TAPS = 121  # 11x11: windows are unrolled
MOST_COLUMNS = 8
SPARE_REGISTERS = 2  # an input and a product
ACCEPTABLE_REPETITION = 0.25  # share of image rows that two parts of the output need
MOST_WEIGHTS = 5  # columns of a window whose weights stay in registers


def applicable(problem: QuantizedConv2d) -> bool:
    """Tell whether each group has one input channel, and the window is not huge."""
    p = problem.geometry
    one_each = p.groups == p.in_c > 1 and p.out_c >= LEAST_LANES
    return one_each and p.kernel_h * p.kernel_w <= MOST_TAPS


def pack(
    problem: QuantizedConv2d,
    isa: Isa,
    weights: NDArray[np.int8],
    bias: NDArray[np.int32],
    multipliers: NDArray[np.float32],
) -> PackedWeights:
    """Pack weights int8 [kernel_h, kernel_w, 1, out_c] as stored, bias and multipliers [out_c].

    For each vector of channels: [starts][groups][kernel_w][channels][taps], int16 if zero points
    are taken off.
    """
    p, dot = problem.geometry, depthwise_dot(problem, isa)
    patterns = row_groups(p, dot).all_patterns()
    vectors = vectors_of(p, isa, dot)
    return pack_taps(problem, dot, patterns, vectors, weights, bias, multipliers)


def generate(problem: QuantizedConv2d, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`QuantizedConv2d` says."""
    b = IntegerKernelBuilder()
    p, dot = problem.geometry, depthwise_dot(problem, isa)
    packed = packed_channels(vectors_of(p, isa, dot))
    steps = len(row_groups(p, dot).all_patterns()) * p.kernel_w
    source = b.parameter("input", p.input_shape, "uint8")
    constants = Constants.parameters(b, dot, steps, packed)
    addend = b.parameter("addend", p.output_shape, "uint8") if problem.addition else None
    output = b.parameter("output", p.epilogue.stored_shape(p.output_shape), "uint8")
    pixels = p.batch * (p.in_h * p.in_w + p.out_h * p.out_w)
    # To bring neighbours side by side takes what several taps an instruction save.
    tasks = task_count(isa, parallel, p.flops, pixels * p.out_c)
    if p.out_c != p.in_c:
        source = repeated_channels(b, p, isa, source)
        p = replace(p, in_c=p.out_c, groups=p.out_c)
    width = vectors_of(p, isa, dot)[0].width if dot.taps == MOST_INTERLEAVED else p.out_c
    band = GroupedBand(dot, row_groups(p, dot), problem.input_zero_point, width)
    writer = OutputWriter(b, isa, problem, output, addend)
    _DepthwiseWriter(b, p, isa, dot, band, constants, writer).write(source, tasks)
    return b.function(name)


def row_groups(p: Conv2d, dot: Dot) -> RowGroups:
    """Return the groups of image rows.

    Groups of four overlap by half, so that a window of three rows is always within one, unless that
    saves no dot products, or windows would pass groups by. (Where the stride is odd, groups that do
    not overlap would take code for four lines.)
    """
    apart = RowGroups(p, dot.taps, dot.taps)
    if dot.taps < MOST_INTERLEAVED or p.stride_h > dot.taps // 2:
        return apart
    overlapping = RowGroups(p, dot.taps, dot.taps // 2)
    saved = _products(apart) - _products(overlapping)
    return overlapping if saved > 0 or p.stride_h % 2 else apart


def _products(groups: RowGroups) -> float:
    """Return the dot products of a column of a window, on average."""
    return len(groups.all_patterns()) / groups.starts


def vectors_of(p: Conv2d, isa: Isa, dot: Dot) -> tuple[ChannelRun, ...]:
    """Return the vectors of channels: narrower ones if their image rows would leave the cache."""
    groups, most = row_groups(p, dot), most_channels(isa, dot)
    while most > isa.lanes():
        band = GroupedBand(dot, groups, 0, min(most, p.out_c))
        if band.bytes_needed(groups.block_lines) <= isa.l1_bytes:
            break
        most //= 2
    return channel_runs(p.out_c, most)


def columns_of(p: Conv2d, isa: Isa, dot: Dot, channels: int) -> int:
    """Return the columns of a tile: the cheapest whose sums and weights fit registers.

    Where tiles do not divide the output the last one overlaps its neighbour. ``channels`` is the
    width of a vector.
    """
    vectors = max(1, channels // isa.lanes())
    free = isa.registers - SPARE_REGISTERS - min(p.kernel_w, MOST_WEIGHTS)
    most = max(1, min(free // vectors, MOST_COLUMNS, p.out_w))
    return min(range(1, most + 1), key=lambda columns: (_cost(p, dot, vectors, columns), -columns))


def _cost(p: Conv2d, dot: Dot, vectors: int, columns: int) -> int:
    """Instructions of a line of tiles."""
    groups = len(row_groups(p, dot).patterns(0))
    loads = groups * (p.kernel_w + len(_columns_seen(p, columns)))
    products = groups * p.kernel_w * columns * (1 if dot.fused else 2)
    # Vectors are narrowed four at a time where there are as many.
    together = vectors * columns
    packing = 4 * together.bit_count() + 3 * (together // 4)
    return (vectors * (loads + products + 3 * columns) + packing) * -(-p.out_w // columns)


def _columns_seen(p: Conv2d, columns: int) -> dict[int, list[tuple[int, int]]]:
    """Return which (output column, column of its window) see a column of the image, in order."""
    seen: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for j in range(columns):
        for tap in range(p.kernel_w):
            seen[j * p.stride_w + tap * p.dilation_w].append((j, tap))
    return dict(sorted(seen.items()))


@dataclass(frozen=True)
class _DepthwiseWriter:
    b: IntegerKernelBuilder
    p: Conv2d
    isa: Isa
    dot: Dot
    band: GroupedBand
    constants: Constants
    output: OutputWriter

    def write(self, source: Buffer, tasks: int) -> None:
        """Deal out parts of as many blocks of lines as keep their image rows in a cache."""
        b, p, block = self.b, self.p, self.band.groups.block_lines
        blocks = -(-p.out_h // block)
        size = min(self._blocks_at_once(), blocks, -(-p.batch * blocks // tasks))
        parts = -(-blocks // size)
        loop = b.parallel if tasks > 1 else b.serial
        with loop(p.batch * parts) as index:
            image, first = b.let(index // parts), b.let(index % parts * (size * block))
            most = min(size * block, p.out_h)
            lines = b.let(most if parts == 1 else minimum(most, p.out_h - first))
            part = Part(image, first, lines, most, 0, p.out_w, p.out_w)
            shared = None if self._apart else self.band.open(b, source, part, 0)
            for run in vectors_of(p, self.isa, self.dot):
                with b.serial(run.count) as vector:
                    channels = Channels.of(b, self.isa, run, vector)
                    own = replace(self, band=replace(self.band, width=run.width))
                    if shared is None:
                        band = own.band.open(b, source, part, channels.first)
                        own._lines(part, band, 0, channels)
                    else:
                        self._lines(part, shared, channels.first * self.dot.taps, channels)

    @property
    def _apart(self) -> bool:
        """Whether each vector of channels has a band of its own, which the first cache can hold.

        Vectors narrower than a cache line share one, or lines would be fetched for each of them.
        """
        return self.dot.taps == MOST_INTERLEAVED

    def _blocks_at_once(self) -> int:
        """Return for how many blocks the band fits a cache.

        If parts small enough for the first-level cache bring many rows side by side twice, it has
        to fit the second.
        """
        block = self.band.groups.block_lines
        once = self.band.bytes_needed(block)
        more = self.band.bytes_needed(2 * block) - once
        first, second = (
            (cache // 2 - once) // more + 1 for cache in (self.isa.l1_bytes, self.isa.l2_bytes)
        )
        seldom = ceil((once - more) / more / ACCEPTABLE_REPETITION)
        return max(1, min(max(first, seldom), second) if self._apart else second)

    def _lines(self, part: Part, band: Buffer, origin: Expr, channels: Channels) -> None:
        """Write all lines of a part, by how their windows start in a group."""
        b, groups = self.b, self.band.groups
        size = groups.block_lines
        with b.serial((part.lines + (size - 1)) // size) as block:
            for start in range(groups.starts):
                with b.serial(groups.apart) as place:
                    line = b.let(block * size + start * groups.apart + place)
                    group = block * groups.block_groups + groups.first_group(start) + place
                    with b.when(True if size == 1 else line < part.lines):
                        offset = group * self.band.group_step + origin
                        pixels = (part.image * self.p.out_h + part.line + line) * self.p.out_w
                        self._line(start, band, b.let(offset), b.let(pixels), channels)

    def _line(self, start: int, band: Buffer, row: Expr, pixels: Expr, channels: Channels) -> None:
        b, p, lanes = self.b, self.p, channels.lanes
        columns = columns_of(p, self.isa, self.dot, channels.width)
        multipliers = [
            b.let(b.load(self.constants.multipliers, channels.packed + first, lanes))
            for first in range(0, channels.width, lanes)
        ]
        order = channel_order(self.dot, channels.width)
        with b.serial(-(-p.out_w // columns)) as tile:
            column = b.let(minimum(tile * columns, p.out_w - columns))
            corner = b.let(row + column * (p.stride_w * self.band.pixel_step))
            own = replace(channels, packed=b.let(anew(channels.packed, column)))
            sums = self._sums(start, columns, band, corner, own)
            place = self.output.place(b.let(pixels + column), channels.first)
            self.output.write_pixels(sums, multipliers, lanes, place, order)

    def _sums(
        self, start: int, columns: int, band: Buffer, corner: Expr, channels: Channels
    ) -> list[list[Expr]]:
        """Return the sums of some columns of a line, each some vectors of channels."""
        b, p, lanes, groups = self.b, self.p, channels.lanes, self.band.groups
        tile = SumTile(b, columns, (lanes,) * channels.vectors)
        starts = range(0, channels.width, lanes)
        tile.fill([b.load(self.constants.bias, channels.packed + first, lanes) for first in starts])
        seen = _columns_seen(p, columns)
        before = sum(len(groups.patterns(earlier)) for earlier in range(start))
        width = channels.width * self.dot.taps  # elements of a step's weights
        base = b.let(channels.packed * (len(groups.all_patterns()) * p.kernel_w * self.dot.taps))
        for vector, first in enumerate(starts):
            own = first * self.dot.taps
            for index, group in enumerate(groups.patterns(start), before):
                weights = [
                    self._load(self.constants.weights, base + step * width + own, lanes)
                    for step in range(index * p.kernel_w, (index + 1) * p.kernel_w)
                ]
                for offset, users in seen.items():
                    at = group * self.band.group_step + offset * self.band.pixel_step + own
                    inputs = self._load(band, corner + at, lanes)
                    for j, tap in users:
                        total = self.dot.add(tile.get(j, vector), inputs, weights[tap], lanes)
                        tile.put(j, vector, total)
        return [[tile.get(j, vector) for vector in range(channels.vectors)] for j in range(columns)]

    def _load(self, buffer: Buffer, offset: Expr, lanes: int) -> Expr:
        return self.b.let(self.b.load(buffer, offset, lanes * self.dot.taps))
