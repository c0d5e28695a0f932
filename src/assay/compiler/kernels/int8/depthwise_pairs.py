"""Depthwise sums of pairs of image rows, which are brought side by side once for all windows.

A register tile is some columns of one output line, of one vector of channels. It goes through the
pairs of rows one by one; of each it holds the weights of a window's columns in registers, too, and
meets each of the pixels that it sees once.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
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
from assay.compiler.kernels.int8.problem import PackedWeights, QuantizedConv2d
from assay.compiler.kernels.int8.row_pairs import PairedBand, RowPairs, Taps
from assay.compiler.kernels.int8.sums import SumTile
from assay.compiler.kernels.int8.vectors import anew
from assay.compiler.kernels.int8.views import Part
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

MOST_COLUMNS = 8
SPARE_REGISTERS = 2  # an input and a product
MOST_WEIGHTS = 5  # columns of a window whose weights stay in registers


def pack(
    problem: QuantizedConv2d,
    isa: Isa,
    weights: NDArray[np.int8],
    bias: NDArray[np.int32],
    multipliers: NDArray[np.float32],
) -> PackedWeights:
    """Pack weights int8 [kernel_h, kernel_w, 1, out_c] as stored, bias and multipliers [out_c].

    For each vector of channels: int16 [starts][pairs][kernel_w][channels][2], zero points taken
    off.
    """
    orders = (
        run.first(index) + np.arange(run.width)
        for run in channel_runs(problem.geometry.out_c, isa.lanes())
        for index in range(run.count)
    )
    return pack_taps(problem, isa, _patterns(problem.geometry), orders, weights, bias, multipliers)


def generate(problem: QuantizedConv2d, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`QuantizedConv2d` says."""
    b = IntegerKernelBuilder()
    p, dot = problem.geometry, depthwise_dot(problem, isa)
    packed = packed_channels(channel_runs(p.out_c, isa.lanes()))
    source = b.parameter("input", p.input_shape, "uint8")
    constants = Constants.parameters(b, dot, len(_patterns(p)) * p.kernel_w, packed)
    addend = b.parameter("addend", p.output_shape, "uint8") if problem.addition else None
    output = b.parameter("output", p.epilogue.stored_shape(p.output_shape), "uint8")
    pixels = p.batch * (p.in_h * p.in_w + p.out_h * p.out_w)
    tasks = task_count(isa, parallel, p.flops, pixels * p.out_c)
    if p.out_c != p.in_c:
        source = repeated_channels(b, p, isa, source)
        p = replace(p, in_c=p.out_c, groups=p.out_c)
    pairs = RowPairs(p)
    band = PairedBand(dot, pairs, problem.input_zero_point)
    writer = OutputWriter(b, isa, problem, output, addend)
    _PairsWriter(b, p, isa, dot, pairs, band, constants, writer).write(source, tasks)
    return b.function(name)


def columns_of(p: Conv2d, isa: Isa) -> int:
    """Return the columns of a tile: the cheapest whose sums and weights fit registers.

    Where tiles do not divide the output the last one overlaps its neighbour.
    """
    most = isa.registers - SPARE_REGISTERS - min(p.kernel_w, MOST_WEIGHTS)
    sizes = range(1, min(most, MOST_COLUMNS, p.out_w) + 1)
    return min(sizes, key=lambda columns: (_cost(p, columns), -columns))


def _cost(p: Conv2d, columns: int) -> int:
    """Instructions of a line of tiles."""
    groups = len(RowPairs(p).taps(0))
    loads = groups * (p.kernel_w + len(_columns_seen(p, columns)))
    products = 2 * groups * p.kernel_w * columns
    rounding, packing = 3 * columns, 4 * columns.bit_count() + 3 * (columns // 4)
    return (loads + products + rounding + packing) * -(-p.out_w // columns)


def _columns_seen(p: Conv2d, columns: int) -> dict[int, list[tuple[int, int]]]:
    """Return which (output column, column of its window) see a column of the image, in order."""
    seen: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for j in range(columns):
        for tap in range(p.kernel_w):
            seen[j * p.stride_w + tap * p.dilation_w].append((j, tap))
    return dict(sorted(seen.items()))


def _patterns(p: Conv2d) -> list[Taps]:
    pairs = RowPairs(p)
    return [taps for start in range(pairs.starts) for taps in pairs.taps(start).values()]


@dataclass(frozen=True)
class _PairsWriter:
    b: IntegerKernelBuilder
    p: Conv2d
    isa: Isa
    dot: Dot
    pairs: RowPairs
    band: PairedBand
    constants: Constants
    output: OutputWriter

    def write(self, source: Buffer, tasks: int) -> None:
        """Deal out parts of as many blocks of lines as keep their image rows in the cache."""
        b, p, block = self.b, self.p, self.pairs.block_lines
        blocks = -(-p.out_h // block)
        once = self.band.bytes_needed(block)
        per_block = self.band.bytes_needed(2 * block) - once
        fitting = (self.isa.l2_bytes // 2 - once) // per_block + 1
        size = max(1, min(fitting, blocks, -(-p.batch * blocks // tasks)))
        parts = -(-blocks // size)
        loop = b.parallel if tasks > 1 else b.serial
        with loop(p.batch * parts) as index:
            image, first = b.let(index // parts), b.let(index % parts * (size * block))
            most = min(size * block, p.out_h)
            lines = b.let(most if parts == 1 else minimum(most, p.out_h - first))
            part = Part(image, first, lines, most, 0, p.out_w, p.out_w)
            band = self.band.open(b, source, part)
            for run in channel_runs(p.out_c, self.isa.lanes()):
                with b.serial(run.count) as vector:
                    self._lines(part, band, self._channels(run, vector))

    def _channels(self, run: ChannelRun, vector: Expr) -> Channels:
        packed = self.b.let(run.packed + vector * run.width)
        return Channels(self.b.let(run.first(vector)), packed, run.width)

    def _lines(self, part: Part, band: Buffer, channels: Channels) -> None:
        """Write all lines of a part, by how their windows start in a pair."""
        b, pairs = self.b, self.pairs
        size = pairs.block_lines
        with b.serial((part.lines + (size - 1)) // size) as block:
            for start in range(pairs.starts):
                with b.serial(pairs.apart) as place:
                    line = b.let(block * size + start * pairs.apart + place)
                    pair = block * pairs.block_pairs + pairs.first_pair(start) + place
                    with b.when(True if size == 1 else line < part.lines):
                        row = b.let(pair * self.band.pair_step + channels.first * 2)
                        pixels = (part.image * self.p.out_h + part.line + line) * self.p.out_w
                        self._line(start, band, row, b.let(pixels), channels)

    def _line(self, start: int, band: Buffer, row: Expr, pixels: Expr, channels: Channels) -> None:
        b, p, columns = self.b, self.p, columns_of(self.p, self.isa)
        multiplier = b.let(b.load(self.constants.multipliers, channels.packed, channels.width))
        with b.serial(-(-p.out_w // columns)) as tile:
            column = b.let(minimum(tile * columns, p.out_w - columns))
            corner = b.let(row + column * (p.stride_w * self.band.pixel_step))
            own = replace(channels, packed=b.let(anew(channels.packed, column)))
            sums = self._sums(start, columns, band, corner, own)
            place = self.output.place(b.let(pixels + column), channels.first)
            self.output.write_pixels(sums, multiplier, channels.width, place)

    def _sums(
        self, start: int, columns: int, band: Buffer, corner: Expr, channels: Channels
    ) -> list[Expr]:
        """Return the sums of some columns of a line, one vector of channels each."""
        b, p, lanes = self.b, self.p, channels.width
        tile = SumTile(b, columns, (lanes,))
        tile.fill([b.load(self.constants.bias, channels.packed, lanes)])
        seen = _columns_seen(p, columns)
        before = sum(len(self.pairs.taps(earlier)) for earlier in range(start))
        base = b.let(channels.packed * (len(_patterns(p)) * p.kernel_w * 2))
        for index, pair in enumerate(self.pairs.taps(start), before):
            first = base + index * p.kernel_w * 2 * lanes
            weights = [
                b.let(b.load(self.constants.weights, first + tap * 2 * lanes, 2 * lanes))
                for tap in range(p.kernel_w)
            ]
            for offset, users in seen.items():
                at = corner + (pair * self.band.pair_step + offset * self.band.pixel_step)
                inputs = b.let(b.load(band, at, 2 * lanes))
                for j, tap in users:
                    tile.put(j, 0, self.dot.add(tile.get(j, 0), inputs, weights[tap], lanes))
        return [tile.get(j, 0) for j in range(columns)]
