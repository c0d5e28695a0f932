"""Writes convolution by Winograd's method along rows, strip by strip of output rows.

:mod:`winograd_rows` plans it and says how weights are packed. What becomes of a strip's sums is up
to :class:`Results`, for outputs in either layout.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, constant
from assay.compiler.kernels.microkernel import add_outer_product
from assay.compiler.kernels.panels import PanelRun, packed_columns
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.splits import split_evenly
from assay.compiler.kernels.winograd_transforms import apply_data
from assay.compiler.target import Isa

POSITIONS = 6  # five finite points and infinity

_Parts = tuple[tuple[int, int, int], ...]


def tap_count(p: Conv2d) -> int:
    """Return the taps of the first phase."""
    return -(-p.kernel_h // p.stride_h)


def output_rows(p: Conv2d) -> int:
    """Return m, the output rows of a strip."""
    return POSITIONS + 1 - tap_count(p)


def phase_count(p: Conv2d, position: int) -> int:
    """Return how many phases, from the first, have products at a position."""
    whole = p.kernel_h % p.stride_h or p.stride_h
    return whole if position == POSITIONS - 1 else min(p.stride_h, p.kernel_h)


def data_rows(p: Conv2d) -> int:
    """Return the rows of transformed data and weights."""
    return sum(phase_count(p, position) for position in range(POSITIONS))


def line_size(p: Conv2d) -> int:
    """Return the elements of a row of transformed data: the image's, between zeros."""
    return max(p.pad_left + p.in_w, (p.out_w - 1) * p.stride_w + p.kernel_w) * p.in_c


@dataclass(frozen=True)
class Plan:
    """Panels, the most output columns of a register tile and of a group, threads.

    A panel serves all tiles of a group before the next. If panels do not fit the first-level cache,
    that is a whole row; else the sums of a group's positions stay in that cache.
    """

    runs: tuple[PanelRun, ...]
    tile: int
    group: int
    parallel: bool
    fetch_outputs: bool


@dataclass(frozen=True)
class Corner:
    """The first pixel of a group of columns in a strip."""

    batch: Expr
    row: Expr
    column: Expr


class Results(Protocol):
    """What becomes of a panel's sums of a group of columns, ``channel`` and the next."""

    def prefetch(self, run: PanelRun, channel: Expr, corner: Corner, columns: int) -> None:
        """Ask for where the results go."""

    def write(
        self, run: PanelRun, channel: Expr, corner: Corner, columns: int, sums: Buffer
    ) -> None:
        """Transform sums, [position, column, packed channel], back and store the output rows."""


@dataclass(frozen=True)
class DataWriter:
    """Transforms the input rows that a strip sees to [position, phase, column, channel]."""

    b: KernelBuilder
    p: Conv2d
    isa: Isa

    def write(self, source: Buffer, batch: Expr, first: Expr) -> Buffer:
        """Transform what the strip of output rows from ``first`` on sees."""
        b, p = self.b, self.p
        line, size = line_size(p), p.in_w * p.in_c
        data = b.workspace("data", data_rows(p) * line)
        left = p.pad_left * p.in_c
        for begin, end in ((0, left), (left + size, line)):
            if end > begin:
                with (
                    b.serial(data_rows(p)) as row,
                    b.vectors(end - begin, self.isa.lanes()) as (x, n),
                ):
                    b.store(data, row * line + begin + x, constant(0.0, n), n)
        top = b.let(first * p.stride_h - p.pad_top)
        seen = max(self._seen(phase)[-1] for phase in range(phase_count(p, 0))) + 1
        inside = (top >= 0) & (top + seen <= p.in_h)
        with b.when(inside):
            self._transform(source, b.let((batch * p.in_h + top) * size), data)
        with b.when(~inside):
            band = b.workspace("band", seen * size)
            with b.serial(seen) as row:
                y = b.let(top + row)
                on_image = (y >= 0) & (y < p.in_h)
                with b.vectors(size, self.isa.lanes()) as (x, n):
                    with b.when(on_image):
                        value = b.load(source, (batch * p.in_h + y) * size + x, n)
                        b.store(band, row * size + x, value, n)
                    with b.when(~on_image):
                        b.store(band, row * size + x, constant(0.0, n), n)
            self._transform(band, 0, data)
        return data

    def _seen(self, phase: int) -> range:
        """Return the rows that a phase sees, from the strip's first on."""
        positions = [n for n in range(POSITIONS) if phase < phase_count(self.p, n)]
        return range(phase, phase + len(positions) * self.p.stride_h, self.p.stride_h)

    def _transform(self, source: Buffer, start: Expr, data: Buffer) -> None:
        b, p = self.b, self.p
        line, size = line_size(p), p.in_w * p.in_c
        before = [sum(phase_count(p, n) for n in range(position)) for position in range(POSITIONS)]
        for phase in range(phase_count(p, 0)):
            rows = self._seen(phase)
            with b.vectors(size, self.isa.lanes()) as (x, n):
                values = [b.let(b.load(source, start + row * size + x, n)) for row in rows]
                missing = [None] * (POSITIONS - len(rows))
                spread = apply_data(b, output_rows(p), [*values, *missing], n, tap_count(p))
                for position in range(len(rows)):
                    place = (before[position] + phase) * line + p.pad_left * p.in_c + x
                    b.store(data, place, spread[position], n)


@dataclass(frozen=True)
class StripWriter:
    """Multiplies a strip's data by the weights and writes its output rows.

    ``parts`` are runs of register tiles of output columns, (start, tiles, columns of each).
    """

    b: KernelBuilder
    p: Conv2d
    plan: Plan
    data: Buffer
    weights: Buffer
    results: Results

    def write(self, batch: Expr, first: Expr) -> None:
        """Write the output rows from ``first`` on, in groups of columns that share a panel."""
        b, plan = self.b, self.plan
        for start, count, size in split_evenly(self.p.out_w, plan.group).parts():
            parts = split_evenly(size, plan.tile).parts()
            with b.serial(count) as index:
                self._group(batch, first, b.let(start + index * size), parts, size)

    def _group(self, batch: Expr, first: Expr, column: Expr, parts: _Parts, columns: int) -> None:
        b = self.b
        widest = max(run.packed_columns for run in self.plan.runs)
        sums = b.workspace("sums", POSITIONS * columns * widest)
        corner = Corner(batch, first, column)
        for run in self.plan.runs:
            with b.serial(run.count) as panel:
                channel = b.let(run.start + panel * run.packed_columns)
                if self.plan.fetch_outputs:
                    self.results.prefetch(run, channel, corner, columns)
                for begin, end in ((0, POSITIONS - 1), (POSITIONS - 1, POSITIONS)):
                    with b.serial(end - begin) as position:
                        place = b.let((begin + position) * columns * run.packed_columns)
                        self._position(run, panel, begin, position, column, parts, sums, place)
                self.results.write(run, channel, corner, columns, sums)

    def _position(
        self,
        run: PanelRun,
        panel: Expr,
        begin: int,
        position: Expr,
        column: Expr,
        parts: _Parts,
        sums: Buffer,
        place: Expr,
    ) -> None:
        """Store the sums of position ``begin + position``, as [column, channel], at ``place``."""
        b, p = self.b, self.p
        line, length, width = line_size(p), p.kernel_w * p.in_c, run.packed_columns
        phases, row = phase_count(p, begin), phase_count(p, 0) * (begin + position)
        depth = phases * length
        packed = row * (length * packed_columns(self.plan.runs))
        packed = b.let(packed + (run.packed + panel * width) * depth)
        for start, count, size in parts:
            with b.serial(count) as index:
                before = b.let(start + index * size)
                left = b.let(row * line + (column + before) * (p.stride_w * p.in_c))
                tile = b.registers(size, run.widths)
                tile.clear()
                for phase in range(phases):
                    with b.serial(length, carry=tile) as k:
                        place_k = left + (phase * line) + k
                        inputs = [(i, place_k + i * (p.stride_w * p.in_c)) for i in range(size)]
                        weights = packed + (phase * length + k) * width
                        pair = (self.weights, weights), (self.data, inputs)
                        add_outer_product(b, tile, run, *pair)
                for i in range(size):
                    target = place + (before + i) * width
                    for q, offset in enumerate(run.packed_starts()):
                        b.store(sums, target + offset, tile.get(i, q), run.widths[q])
