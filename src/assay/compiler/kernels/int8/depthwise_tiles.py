"""Depthwise sums by register tiles of outputs, which interleave the image rows that they see.

The image rows that a part of the output looks at are copied to a workspace with a border of zero
points; so there is one kind of register tile only, some output rows and columns of one vector of
channels. (Masks for what is beside the image are no way out: LLVM takes very long to merge them
with the shuffles. A tile for every edge makes ten times the code.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
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
from assay.compiler.kernels.int8.epilogue import OutputWriter, Place
from assay.compiler.kernels.int8.interleave import interleave, lanes_of, most_channels
from assay.compiler.kernels.int8.problem import PackedWeights, QuantizedConv2d
from assay.compiler.kernels.int8.rowplan import plan_rows, tile_size
from assay.compiler.kernels.int8.stored import lane_order
from assay.compiler.kernels.int8.sums import SumTile
from assay.compiler.kernels.int8.vectors import anew
from assay.compiler.kernels.int8.views import PaddedBand, Part
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa


def pack(
    problem: QuantizedConv2d,
    isa: Isa,
    weights: NDArray[np.int8],
    bias: NDArray[np.int32],
    multipliers: NDArray[np.float32],
) -> PackedWeights:
    """Pack weights int8 [kernel_h, kernel_w, 1, out_c] as stored, bias and multipliers [out_c].

    For each vector of channels: [patterns][kernel_w][channels][taps], int16 if zero points are
    taken off.
    """
    p, dot = problem.geometry, depthwise_dot(problem, isa)
    rows, _ = tile_size(p, isa, dot)
    patterns = plan_rows(p, dot, rows).patterns
    orders = _channel_order(isa, dot, p.out_c)
    return pack_taps(problem, isa, patterns, orders, weights, bias, multipliers)


def generate(problem: QuantizedConv2d, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`QuantizedConv2d` says."""
    b = IntegerKernelBuilder()
    p, dot = problem.geometry, depthwise_dot(problem, isa)
    rows, columns = tile_size(p, isa, dot)
    patterns = len(plan_rows(p, dot, rows).patterns)
    packed = packed_channels(channel_runs(p.out_c, most_channels(isa, dot)))
    source = b.parameter("input", p.input_shape, "uint8")
    constants = Constants.parameters(b, dot, patterns * p.kernel_w, packed)
    addend = b.parameter("addend", p.output_shape, "uint8") if problem.addition else None
    output = b.parameter("output", p.epilogue.stored_shape(p.output_shape), "uint8")
    pixels = p.batch * (p.in_h * p.in_w + p.out_h * p.out_w)
    # To bring neighbours side by side takes what several taps an instruction save.
    tasks = task_count(isa, parallel, p.flops, pixels * p.out_c)
    if p.out_c != p.in_c:
        source = repeated_channels(b, p, isa, source)
        p = replace(p, in_c=p.out_c, groups=p.out_c)
    writer = OutputWriter(b, isa, problem, output, addend)
    view = PaddedBand(dot, p, problem.input_zero_point, thin=False)
    _DepthwiseWriter(b, p, isa, dot, rows, columns, view, constants, writer).write(source, tasks)
    return b.function(name)


@dataclass(frozen=True)
class _DepthwiseWriter:
    b: IntegerKernelBuilder
    p: Conv2d
    isa: Isa
    dot: Dot
    rows: int
    columns: int
    view: PaddedBand
    constants: Constants
    output: OutputWriter

    def write(self, source: Buffer, tasks: int) -> None:
        """Deal out parts of as many row tiles as keep their image rows in the cache."""
        b, p, rows = self.b, self.p, self.rows
        tiles = -(-p.out_h // rows)
        once = self.view.bytes_needed(rows, p.out_w)
        per_tile = self.view.bytes_needed(2 * rows, p.out_w) - once
        fitting = (self.isa.l2_bytes // 2 - once) // per_tile + 1
        size = max(1, min(fitting, tiles, -(-p.batch * tiles // tasks)))
        parts = -(-tiles // size)
        loop = b.parallel if tasks > 1 else b.serial
        with loop(p.batch * parts) as index:
            image, tile = b.let(index // parts), b.let(index % parts * size)
            first = b.let(self._first_line(tile))
            count = b.let(size if tiles % size == 0 else minimum(size, tiles - tile))
            end = minimum((tile + count) * rows, p.out_h)
            most = min(size * rows + rows - 1, p.out_h)
            part = Part(image, first, b.let(end - first), most, 0, p.out_w, p.out_w)
            band, _ = self.view.open(b, source, part)
            for run in channel_runs(p.out_c, most_channels(self.isa, self.dot)):
                with b.serial(run.count) as vector, b.serial(count) as below:
                    line = b.let(self._first_line(tile + below) - first)
                    self._line_of_tiles(part, band, line, self._channels(run, vector))

    def _first_line(self, tile: Expr) -> Expr:
        """Return where a row tile starts; the last one may overlap the one before."""
        return minimum(tile * self.rows, self.p.out_h - self.rows)

    def _channels(self, run: ChannelRun, vector: Expr) -> Channels:
        packed = self.b.let(run.packed + vector * run.width)
        return Channels(self.b.let(run.first(vector)), packed, run.width)

    def _line_of_tiles(self, part: Part, band: Buffer, line: Expr, channels: Channels) -> None:
        b, p, view = self.b, self.p, self.view
        top = b.let(line * view.line_step + channels.first)
        pixels = b.let((part.image * p.out_h + part.line + line) * p.out_w)
        with b.serial(-(-p.out_w // self.columns)) as tile:
            column = b.let(minimum(tile * self.columns, p.out_w - self.columns))
            own = replace(channels, packed=b.let(anew(channels.packed, column)))
            sums = self._sums(band, b.let(anew(top + column * view.pixel_step, column)), own)
            self._store(sums, self.output.place(b.let(pixels + column), channels.first), own)

    def _sums(self, band: Buffer, corner: Expr, channels: Channels) -> SumTile:
        b, p, dot = self.b, self.p, self.dot
        plan = plan_rows(p, dot, self.rows)
        count, lanes = lanes_of(dot, channels.width)
        tile = SumTile(b, self.rows * self.columns, (lanes,) * count)
        starts = range(0, channels.width, lanes)
        tile.fill([b.load(self.constants.bias, channels.packed + start, lanes) for start in starts])
        seen: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for j in range(self.columns):
            for tap in range(p.kernel_w):
                seen[j * p.stride_w + tap * p.dilation_w].append((j, tap))
        order = {pattern: index for index, pattern in enumerate(plan.patterns)}
        block = channels.width * dot.taps
        weights = b.let(channels.packed * (len(order) * p.kernel_w * dot.taps))
        for offset in sorted(seen):
            own = b.let(anew(weights, offset))
            for index, group in enumerate(plan.groups):
                vectors = self._interleaved(band, corner + offset * p.out_c, group, channels.width)
                for row, at, pattern in plan.products:
                    for j, tap in seen[offset] if at == index else ():
                        start = own + (order[pattern] * p.kernel_w + tap) * block
                        self._add(tile, row * self.columns + j, vectors, start)
        return tile

    def _interleaved(
        self, band: Buffer, pixel: Expr, group: tuple[int, ...], width: int
    ) -> list[Expr]:
        b = self.b
        starts = [pixel + offset * self.view.row_step for offset in group]
        rows = [b.let(b.load(band, start, width)) for start in starts]
        rows += [rows[-1]] * (self.dot.taps - len(rows))  # their weights are zero
        return interleave(b, self.dot, rows, width)

    def _add(self, tile: SumTile, place: int, vectors: list[Expr], start: Expr) -> None:
        """Add a group of window rows, in one column of the window, to an output's sums."""
        b, dot = self.b, self.dot
        for index, vector in enumerate(vectors):
            lanes = tile.widths[index]
            width = lanes * dot.taps
            right = b.load(self.constants.weights, start + index * width, width)
            tile.put(place, index, dot.add(tile.get(place, index), vector, right, lanes))

    def _store(self, tile: SumTile, first: Place, channels: Channels) -> None:
        b, p, lanes = self.b, self.p, tile.widths[0]
        starts = range(0, channels.width, lanes)
        multipliers = [
            b.let(b.load(self.constants.multipliers, channels.packed + start, lanes))
            for start in starts
        ]
        for i in range(self.rows):
            for j in range(self.columns):
                place = i * self.columns + j
                sums = [tile.get(place, index) for index in range(len(tile.widths))]
                moved = first.moved(i * p.out_w + j, 0)
                self.output.write(sums, multipliers, lanes, moved, channels.width)


def _channel_order(isa: Isa, dot: Dot, channels: int) -> Iterator[NDArray[np.intp]]:
    """Yield the channels of each vector's lanes."""
    for run in channel_runs(channels, most_channels(isa, dot)):
        order = np.array(lane_order(isa, *lanes_of(dot, run.width)))
        for index in range(run.count):
            yield run.first(index) + order
