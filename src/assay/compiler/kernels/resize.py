"""Resizing of float32 images: nearest, bilinear, bicubic, and any other mixture along two axes.

One output row at a time. If that saves work, its input rows are mixed to one first, which lies in
the near cache; its columns are mixed after that. Vectors run over channels. (Rows of few channels,
and NCHW, are :mod:`assay.compiler.kernels.resize_lines`.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from math import prod
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, RegisterTile, broadcast
from assay.compiler.kernels.epilogue import Epilogue
from assay.compiler.kernels.epilogue_writer import EpilogueWriter, Pixels
from assay.compiler.kernels.panels import PanelRun, split_columns
from assay.compiler.kernels.problem import Layout, image_shape
from assay.compiler.kernels.resampling import Resampling
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

_PANEL_VECTORS = 8  # channels per pass over a row


@dataclass(frozen=True)
class Resize:
    """Resizing of images in ``layout``, separately along rows and columns.

    Kernel parameters, in order: input, :func:`tables`, epilogue operands, output.
    """

    batch: int
    channels: int
    rows: Resampling
    columns: Resampling
    epilogue: Epilogue = field(default=Epilogue())
    layout: Layout = "NHWC"

    @property
    def channel_axis(self) -> int:
        """The channels' axis of the activations."""
        return self.layout.index("C")

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """Shape of the input."""
        height, width = self.rows.inputs, self.columns.inputs
        return image_shape(self.layout, self.batch, height, width, self.channels)

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        """Shape of the output."""
        height, width = self.rows.outputs, self.columns.outputs
        return image_shape(self.layout, self.batch, height, width, self.channels)

    @property
    def flops(self) -> int:
        """Two for each input of an output, and for those of each axis."""
        return 2 * prod(self.output_shape) * (self.rows.taps + self.columns.taps)

    @property
    def bytes_moved(self) -> int:
        """Of input and output."""
        return 4 * (prod(self.input_shape) + prod(self.output_shape))


def applicable(problem: Resize) -> bool:
    """Tell whether the kernel fits: activations have to be NHWC."""
    return problem.layout == "NHWC"


def tables(problem: Resize) -> tuple[NDArray[Any], ...]:
    """Return sources (int32) and weights (float32) of rows and of columns, [outputs, taps]."""
    found: list[NDArray[Any]] = []
    for axis in (problem.rows, problem.columns):
        found += [np.array(axis.sources, np.int32), np.array(axis.weights, np.float32)]
    return tuple(found)


@dataclass(frozen=True)
class Taps:
    """The tables of an axis, as parameters of a kernel."""

    b: KernelBuilder
    axis: Resampling
    sources: Buffer
    weights: Buffer

    @classmethod
    def declare(cls, b: KernelBuilder, axis: Resampling, name: str) -> Taps:
        """Declare the parameters."""
        shape = (axis.outputs, axis.taps)
        sources = b.parameter(f"{name}_sources", shape, "int32")
        return cls(b, axis, sources, b.parameter(f"{name}_weights", shape))

    def at(self, index: Expr, step: Expr = 1) -> list[Expr]:
        """Return the sources of an output, ``step`` elements apart."""
        return [
            self.b.let(self.b.load(self.sources, index * self.axis.taps + tap) * step)
            for tap in range(self.axis.taps)
        ]

    def shares(self, index: Expr) -> list[Expr]:
        """Return the weights of an output; none if it is a single input."""
        if self.axis.taps == 1:
            return []
        return [
            self.b.let(self.b.load(self.weights, index * self.axis.taps + tap))
            for tap in range(self.axis.taps)
        ]


def mixed(values: Sequence[Expr], shares: Sequence[Expr], lanes: int) -> Expr:
    """Return the weighted sum of vectors; without weights, the only one."""
    if not shares:
        return values[0]
    pairs = zip(values, shares, strict=True)
    return reduce(add, [value * broadcast(share, lanes) for value, share in pairs])


def generate(problem: Resize, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`Resize` says."""
    b, p = KernelBuilder(), problem
    source = b.parameter("input", p.input_shape)
    rows, columns = Taps.declare(b, p.rows, "row"), Taps.declare(b, p.columns, "column")
    epilogue = EpilogueWriter(b, p.epilogue, p.output_shape, sums_start=False)
    output = b.parameter("output", p.epilogue.stored_shape(p.output_shape))
    tasks = task_count(isa, parallel, p.flops, p.bytes_moved)
    _Writer(b, isa, p, source, rows, columns, epilogue, output).write(tasks)
    return b.function(name)


@dataclass(frozen=True)
class _Writer:
    b: KernelBuilder
    isa: Isa
    p: Resize
    source: Buffer
    rows: Taps
    columns: Taps
    epilogue: EpilogueWriter
    output: Buffer

    def write(self, tasks: int) -> None:
        b, p = self.b, self.p
        first = self._rows_first()
        with (b.parallel if tasks > 1 else b.serial)(p.batch * p.rows.outputs) as line:
            batch, row = b.let(line // p.rows.outputs), b.let(line % p.rows.outputs)
            start = batch * p.rows.inputs
            width = p.columns.inputs * p.channels
            lines = [b.let((start + at) * width) for at in self.rows.at(row)]
            shares = self.rows.shares(row)
            for run in split_columns(p.channels, self.isa.lanes(), self._panel_vectors(first)):
                with b.serial(run.count) as panel:
                    channel = b.let(run.start + panel * run.packed_columns)
                    if first:
                        self._mixed_columns(run, line, batch, lines, shares, channel)
                    else:
                        self._mixed_pixels(run, line, batch, lines, shares, channel)

    def _rows_first(self) -> bool:
        """Tell whether it takes fewer loads and stores to mix whole rows before any column."""
        p, taps = self.p, self.p.rows.taps
        at_once = taps * p.columns.taps * p.columns.outputs
        return (taps + 1) * p.columns.inputs + p.columns.taps * p.columns.outputs < at_once

    def _panel_vectors(self, rows_first: bool) -> int:
        """Return how many vectors of channels a panel has, so that a mixed row stays near."""
        if not rows_first:
            return _PANEL_VECTORS
        vector = self.p.columns.inputs * self.isa.lanes() * 4
        return max(2, min(_PANEL_VECTORS, self.isa.l1_bytes // 2 // vector))

    def _mixed_columns(
        self,
        run: PanelRun,
        line: Expr,
        batch: Expr,
        lines: list[Expr],
        shares: list[Expr],
        channel: Expr,
    ) -> None:
        """Mix a panel of input rows to one, and its columns to those of the output."""
        b, p, lanes = self.b, self.p, self.isa.lanes()
        whole = run.vectors[-1][0] + run.vectors[-1][1] == p.channels
        step = p.channels if whole else run.packed_columns
        space = b.workspace("row", p.columns.inputs * step)

        def mix(place: Expr, target: Expr, lanes: int) -> None:
            values = [b.load(self.source, at + place, lanes) for at in lines]
            b.store(space, target, mixed(values, shares, lanes), lanes)

        if whole:  # one run of elements
            with b.vectors(p.columns.inputs * p.channels, lanes) as (first, width):
                mix(first, first, width)
        else:
            with b.serial(p.columns.inputs) as column:
                for offset, width in run.vectors:
                    mix(column * p.channels + channel + offset, column * step + offset, width)
        with b.serial(p.columns.outputs) as column:
            places, factors = self.columns.at(column, step), self.columns.shares(column)
            tile = b.registers(1, run.widths)
            for index, (offset, width) in enumerate(run.vectors):
                values = [b.load(space, place + offset, width) for place in places]
                tile.put(0, index, mixed(values, factors, width))
            self._write(tile, run, line, column, batch, channel)

    def _mixed_pixels(
        self,
        run: PanelRun,
        line: Expr,
        batch: Expr,
        lines: list[Expr],
        shares: list[Expr],
        channel: Expr,
    ) -> None:
        """Mix the pixels of several rows and columns at once."""
        b, p = self.b, self.p
        with b.serial(p.columns.outputs) as column:
            places, factors = self.columns.at(column, p.channels), self.columns.shares(column)
            corners = [[b.let(at + place + channel) for at in lines] for place in places]
            tile = b.registers(1, run.widths)
            for index, (offset, width) in enumerate(run.vectors):
                values = [
                    mixed([b.load(self.source, at + offset, width) for at in down], shares, width)
                    for down in corners
                ]
                tile.put(0, index, mixed(values, factors, width))
            self._write(tile, run, line, column, batch, channel)

    def _write(
        self,
        tile: RegisterTile,
        run: PanelRun,
        line: Expr,
        column: Expr,
        batch: Expr,
        channel: Expr,
    ) -> None:
        """Write one pixel's panel of channels."""
        pixel = self.b.let(line * self.p.columns.outputs + column)
        place = Pixels(pixel, 1, 1)
        self.epilogue.write_tile(tile, self.output, place, batch, channel, run.vectors)
