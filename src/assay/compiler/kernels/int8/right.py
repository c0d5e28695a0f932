"""Packing a right matrix while a kernel runs, into panels as those of constant weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tvm import tirx

from assay.compiler.kernels.builder import Buffer, Expr, constant
from assay.compiler.kernels.int8.builder import IntegerKernelBuilder
from assay.compiler.kernels.int8.depth import Steps
from assay.compiler.kernels.int8.dot import Dot
from assay.compiler.kernels.int8.interleave import settled
from assay.compiler.kernels.int8.panels import StoreGroup, store_groups
from assay.compiler.kernels.int8.problem import QuantizedBatchMatmul
from assay.compiler.kernels.int8.stored import SIGN_FLIP, lane_order
from assay.compiler.kernels.int8.sums import SumTile
from assay.compiler.kernels.int8.vectors import bits_as, shuffle
from assay.compiler.kernels.panels import PanelRun, packed_columns
from assay.compiler.target import Isa


@dataclass(frozen=True)
class RightPanels:
    """Packs the right matrix of a batch item; ``bias`` are the packed constant ones.

    A panel is [block][vector][step of the block][lane][tap]; ``block_steps`` are those of a block.
    """

    b: IntegerKernelBuilder
    isa: Isa
    problem: QuantizedBatchMatmul
    dot: Dot
    runs: tuple[PanelRun, ...]
    steps: Sequence[Steps]
    right: Buffer
    bias: Buffer
    block_steps: int = 1

    def pack(self, first: Expr) -> tuple[Buffer, Buffer]:
        """Pack the matrix whose first element is ``first``; return weights and bias."""
        b, p = self.b, self.problem.geometry
        columns = packed_columns(self.runs)
        weights = b.workspace("right_panels", self._steps * self.dot.taps * columns, "int8")
        sums = b.workspace("column_bias", columns, "int32")
        for run in self.runs:
            with b.serial(run.count) as panel:
                before = b.let(panel * run.packed_columns)
                place = b.let(before + run.packed)
                start = b.let(first + (before + run.start) * p.right.steps[-1])
                self._panel(run, start, b.let(place * (self._steps * self.dot.taps)), weights)
                self._sums(run, place, weights, sums)
        return weights, sums

    @property
    def _steps(self) -> int:
        return sum(each.count for each in self.steps)

    def _panel(self, run: PanelRun, first: Expr, to: Expr, weights: Buffer) -> None:
        b, taps = self.b, self.dot.taps
        depth_step = self.problem.geometry.right.steps[-2]
        for group in store_groups(run):
            done = 0
            for each in self.steps:
                with b.serial(each.count) as step:
                    start = b.let(first + (each.first + step * taps) * depth_step)
                    targets = [
                        b.let(to + self._place(run, done + step, place, group.lanes))
                        for place in range(group.packed, group.packed + group.width, group.lanes)
                    ]
                    self._step(group, start, targets, weights, each.taps)
                done += each.count

    def _place(self, run: PanelRun, step: Expr, column: int, lanes: int) -> Expr:
        """Return where in its panel a vector of a step is whose first packed column is given."""
        taps, count = self.dot.taps, self.block_steps
        block, inner = (step, 0) if count == 1 else (step // count, step % count)
        return (block * run.packed_columns + column) * (taps * count) + inner * (lanes * taps)

    def _step(
        self, group: StoreGroup, start: Expr, to: Sequence[Expr], weights: Buffer, taps: range
    ) -> None:
        """Pack one step of a group of vectors; all but ``taps`` count as zero."""
        p = self.problem.geometry
        depth_step, column_step = p.right.steps[-2:]
        order = lane_order(self.isa, group.count, group.lanes)
        full = len(taps) == self.dot.taps
        if full and column_step == 1 and p.columns >= group.width:
            self._from_rows(group, order, start, to, weights)
            return
        b = self.b
        for lane, byte in enumerate(order):
            column = group.column + byte
            target = to[lane // group.lanes] + lane % group.lanes * self.dot.taps
            at = start + column * column_step
            if column >= p.columns:
                b.store(weights, target, self._nothing(self.dot.taps), self.dot.taps)
            elif full and depth_step == 1:
                value = self._signed(b.load(self.right, at, self.dot.taps), self.dot.taps)
                b.store(weights, target, value, self.dot.taps)
            else:
                for tap in range(self.dot.taps):
                    value = self._nothing(1)
                    if tap in taps:
                        value = self._signed(b.load(self.right, at + tap * depth_step), 1)
                    b.store(weights, target + tap, value)

    def _from_rows(
        self,
        group: StoreGroup,
        order: tuple[int, ...],
        start: Expr,
        to: Sequence[Expr],
        weights: Buffer,
    ) -> None:
        """Interleave rows of columns that lie side by side."""
        b, taps, width = self.b, self.dot.taps, group.width
        depth_step = self.problem.geometry.right.steps[-2]
        rows = [
            b.let(
                self._signed(
                    b.load(self.right, start + (tap * depth_step + group.column), width), width
                )
            )
            for tap in range(taps)
        ]
        for vector in range(group.count):
            lanes = order[vector * group.lanes : (vector + 1) * group.lanes]
            value = self._interleaved(rows, lanes, width)
            b.store(weights, to[vector], b.let(value), group.lanes * taps)

    def _interleaved(self, rows: list[Expr], lanes: tuple[int, ...], width: int) -> Expr:
        """Return the taps of some columns side by side."""
        if len(rows) == 1:
            return shuffle(rows, lanes)
        pairs = [
            shuffle(rows[i : i + 2], [lane + start for lane in lanes for start in (0, width)])
            for i in range(0, len(rows), 2)
        ]
        if len(pairs) == 1:
            return pairs[0]
        count = len(lanes)
        words = [self.b.let(settled(pair, count)) for pair in pairs]
        order = [lane + start for lane in range(count) for start in (0, count)]
        return bits_as("int8", shuffle(words, order), 4 * count)

    def _signed(self, value: Expr, lanes: int) -> Expr:
        flipped = tirx.bitwise_xor(value, constant(SIGN_FLIP, lanes, "uint8"))
        return bits_as("int8", flipped, lanes)

    def _nothing(self, lanes: int) -> Expr:
        """Return what counts as zero: widened weights lose their zero point when they are read."""
        zero_point = self.problem.weights_zero_point if self.dot.wide_weights else 0
        return constant(zero_point, lanes, "int8")

    def _sums(self, run: PanelRun, place: Expr, weights: Buffer, sums: Buffer) -> None:
        """Fold the left zero point into the bias of a panel, as ``folded_bias`` does."""
        b, dot, p = self.b, self.dot, self.problem
        left = p.input_zero_point - dot.input_offset
        tile = SumTile(b, 1, run.widths)
        tile.fill([constant(0, lanes, "int32") for lanes in run.widths])
        starts = list(zip(run.packed_starts(), run.widths, strict=True))
        with b.serial(self._steps, carry=tile) as step:
            at = b.let(place * (self._steps * dot.taps))
            for column, (start, lanes) in enumerate(starts):
                ones = constant(1, dot.taps * lanes, dot.inputs)
                source = at + self._place(run, step, start, lanes)
                values = dot.load_weights(b, weights, source, lanes, p.weights_zero_point)
                tile.put(0, column, dot.add(tile.get(0, column), ones, values, lanes))
        centre = 0 if dot.wide_weights else p.geometry.depth * p.weights_zero_point
        for column, (start, lanes) in enumerate(starts):
            total = tile.get(0, column) - constant(centre, lanes, "int32")
            value = b.load(self.bias, place + start, lanes)
            value = value - total * constant(left, lanes, "int32")
            b.store(sums, place + start, value, lanes)
