"""Quantized convolution in NCHW: any window, stride, dilation, groups and channel multiplier.

A register tile is a few output channels by a few vectors of pixels. One step takes the interleaved
pixels of a plane, seen through one row of the window, and the weights of one output channel for
them, the same for all lanes. Depthwise convolution is the case of one input channel a group: then
the columns of the window are what a step sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from assay.compiler.kernels.builder import Buffer, Expr, broadcast, minimum
from assay.compiler.kernels.int8.builder import IntegerKernelBuilder
from assay.compiler.kernels.int8.dot import Dot, choose_dot, choose_wide_dot
from assay.compiler.kernels.int8.epilogue import OutputWriter, Place
from assay.compiler.kernels.int8.nchw.interleaved import InterleavedBand
from assay.compiler.kernels.int8.panels import split_columns
from assay.compiler.kernels.int8.plan import tile_isa
from assay.compiler.kernels.int8.problem import PackedWeights, QuantizedConv2d, folded_bias
from assay.compiler.kernels.int8.sums import SumTile
from assay.compiler.kernels.int8.vectors import bits_as
from assay.compiler.kernels.panels import PanelRun
from assay.compiler.kernels.splits import EvenSplit, split_evenly
from assay.compiler.kernels.tiles import choose_tile
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

MOST_UNROLLED_ROWS = 8  # taller windows are looped over
SLACK = 16  # lanes beyond a plane that the vectors of tiny images may reach


def applicable(problem: QuantizedConv2d) -> bool:
    """Tell whether the kernel fits: activations have to be NCHW, the output a tensor by itself."""
    return problem.geometry.layout == "NCHW" and problem.geometry.epilogue.inside is None


def pack(
    problem: QuantizedConv2d,
    isa: Isa,
    weights: NDArray[np.int8],
    bias: NDArray[np.int32],
    multipliers: NDArray[np.float32],
) -> PackedWeights:
    """Pack weights HWIO by tiles of output channels, each [plane][window row][channel][taps]."""
    plan, p = make_plan(problem, isa, 1), problem.geometry
    pieces = []
    for group in range(p.groups):
        channels = slice(group * plan.channels, (group + 1) * plan.channels)
        steps = plan.inputs.pack(weights[..., channels], problem.weights_zero_point)
        for start, count, size in plan.tiles.parts():
            for first in range(start, start + count * size, size):
                pieces.append(steps[:, :, first : first + size].reshape(-1))
    offset = problem.input_zero_point - plan.inputs.dot.input_offset
    folded = folded_bias(bias, weights, offset, problem.weights_zero_point)
    return PackedWeights(np.concatenate(pieces), folded, multipliers.astype(np.float32))


def generate(problem: QuantizedConv2d, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`QuantizedConv2d` says."""
    b = IntegerKernelBuilder()
    p, plan = problem.geometry, make_plan(problem, isa, parallel)
    source = b.parameter("input", p.input_shape, "uint8")
    size = plan.steps * plan.inputs.dot.taps * p.out_c
    wide = plan.inputs.dot.wide_weights
    weights = b.parameter("weights", (size,), "int16" if wide else "int8")
    bias = b.parameter("bias", (p.out_c,), "int32")
    multipliers = b.parameter("multipliers", (p.out_c,))
    addend = b.parameter("addend", p.output_shape, "uint8") if problem.addition else None
    output = b.parameter("output", p.output_shape, "uint8")
    writer = OutputWriter(b, isa, problem, output, addend)
    _Writer(b, problem, isa, plan, source, weights, bias, multipliers, writer).write()
    return b.function(name)


@dataclass(frozen=True)
class Plan:
    """A convolution cut up: bands of output lines, pixel panels of each, tiles of channels."""

    problem: QuantizedConv2d
    inputs: InterleavedBand
    runs: tuple[PanelRun, ...]
    tiles: EvenSplit
    tasks: int

    @property
    def bands(self) -> int:
        """Bands of each image; the last may overlap the one before."""
        return -(-self.problem.geometry.out_h // self.inputs.lines)

    @property
    def channels(self) -> int:
        """Output channels of a group."""
        return self.problem.geometry.out_c // self.problem.geometry.groups

    @property
    def steps(self) -> int:
        """Steps of one output."""
        return self.inputs.planes * self.problem.geometry.kernel_h


def make_plan(problem: QuantizedConv2d, isa: Isa, parallel: int) -> Plan:
    """Choose bands, tiles and what the threads share out."""
    p = problem.geometry
    dot = choose_dot(isa) if problem.weights_zero_point == 0 else choose_wide_dot(isa)
    channels = p.out_c // p.groups
    moved = p.batch * (p.in_h * p.in_w * p.in_c + p.out_h * p.out_w * p.out_c)
    tasks = task_count(isa, parallel, p.flops // (dot.taps if dot.fused else 1), moved)

    def band(lines: int) -> InterleavedBand:
        return InterleavedBand(p, dot, problem.input_zero_point, lines)

    def size(lines: int) -> int:
        each = band(lines)
        return each.planes * each.plane_step * _bytes(dot.inputs)

    # The planes of one channel are gone after one pass; those of many are passed over many times.
    budget = (isa.l2_bytes if p.in_c > p.groups else isa.l1_bytes) // 2
    fitting = 1 + max(0, budget - size(1)) // (size(2) - size(1))
    most = max(1, min(fitting, p.out_h, -(-p.out_h // tasks)))
    inputs = band(-(-p.out_h // -(-p.out_h // most)))
    steps = inputs.planes * p.kernel_h
    # Packed weights depend on the tile, which therefore may not depend on the number of threads.
    machine, pixels = tile_isa(isa, dot, 0, added=False), p.out_h * p.out_w
    tile = choose_tile(machine, channels, pixels, steps, most_sums=1.0)
    runs = split_columns(inputs.lines * p.out_w, isa.lanes(), tile.vectors)
    return Plan(problem, inputs, runs, split_evenly(channels, tile.rows), tasks)


def _bytes(dtype: str) -> int:
    return int(np.dtype(dtype).itemsize)


@dataclass(frozen=True)
class _Writer:
    b: IntegerKernelBuilder
    problem: QuantizedConv2d
    isa: Isa
    plan: Plan
    source: Buffer
    weights: Buffer
    bias: Buffer
    multipliers: Buffer
    output: OutputWriter

    def write(self) -> None:
        """Deal out bands of the groups of all images."""
        b, plan, p = self.b, self.plan, self.problem.geometry
        inputs = plan.inputs
        loop = b.parallel if plan.tasks > 1 else b.serial
        with loop(p.batch * p.groups * plan.bands) as index:
            unit, number = b.let(index // plan.bands), index % plan.bands
            line = b.let(minimum(number * inputs.lines, p.out_h - inputs.lines))
            slack = SLACK * inputs.dot.taps
            space = b.workspace(
                "interleaved", inputs.planes * inputs.plane_step + slack, inputs.dot.inputs
            )
            image = b.let(unit * (inputs.channels * p.in_h * p.in_w))
            inputs.fill(b, self.source, image, space, line, self.isa.lanes())
            batch, group = b.let(unit // p.groups), b.let(unit % p.groups)
            for run in plan.runs:
                with b.serial(run.count) as panel:
                    column = b.let(run.start + panel * run.packed_columns)
                    pixel = b.let(line * p.out_w + column)
                    for start, count, size in plan.tiles.parts():
                        with b.serial(count) as turn:
                            channel = group * plan.channels + (start + turn * size)
                            self._tile(space, run, column, batch, b.let(channel), pixel, size)

    def _tile(
        self,
        space: Buffer,
        run: PanelRun,
        column: Expr,
        batch: Expr,
        channel: Expr,
        pixel: Expr,
        rows: int,
    ) -> None:
        b, p = self.b, self.problem.geometry
        columns = self.plan.inputs.lines * p.out_w
        tile = SumTile(b, rows, run.widths)
        for i in range(rows):
            bias = b.let(b.load(self.bias, channel + i))
            for index, lanes in enumerate(run.widths):
                tile.put(i, index, broadcast(bias, lanes))
        self._sum(space, run, tile, column, channel)
        for i in range(rows):
            plane = b.let((batch * p.out_c + channel + i) * (p.out_h * p.out_w) + pixel)
            factor = b.let(b.load(self.multipliers, channel + i))
            for index, (offset, lanes) in enumerate(run.vectors):
                factors = [broadcast(factor, lanes)]
                place = Place(plane + offset, plane + offset)
                self.output.write([tile.get(i, index)], factors, lanes, place, columns)

    def _sum(
        self, space: Buffer, run: PanelRun, tile: SumTile, column: Expr, channel: Expr
    ) -> None:
        b, plan, inputs = self.b, self.plan, self.plan.inputs
        taps, height = inputs.dot.taps, self.problem.geometry.kernel_h
        packed = b.let(channel * (plan.steps * taps))
        unrolled = height if height <= MOST_UNROLLED_ROWS else 1
        with b.serial(plan.steps // unrolled, carry=tile) as index:
            plane = index if unrolled == height else b.let(index // height)
            start = b.let(plane * inputs.plane_step + column * taps)
            for turn in range(unrolled):
                row = turn if unrolled == height else b.let(index % height)
                place = b.let(start + inputs.tap(row))
                pixels = [
                    b.let(b.load(space, place + offset * taps, lanes * taps))
                    for offset, lanes in run.vectors
                ]
                weight = packed + (index * unrolled + turn) * (tile.rows * taps)
                for i in range(tile.rows):
                    self._add(inputs.dot, tile, i, pixels, weight + i * taps)

    def _add(self, dot: Dot, tile: SumTile, row: int, pixels: list[Expr], place: Expr) -> None:
        """Add a step's products to one output channel."""
        b = self.b
        word = b.let(b.load(self.weights, place, dot.taps))
        if dot.taps > 1:
            word = b.let(tirx.reinterpret("int32", word))
        for index, lanes in enumerate(tile.widths):
            repeated = broadcast(word, lanes)
            if dot.taps > 1:
                dtype = "int16" if dot.wide_weights else "int8"
                repeated = bits_as(dtype, repeated, dot.taps * lanes)
            total = dot.add(tile.get(row, index), pixels[index], repeated, lanes)
            tile.put(row, index, total)
