"""Rows of bilinear resizing, exact: weighted sums, rounded half away from zero.

The two input rows of an output row are mixed to one first where that saves work, and its columns
after that. ``a * (1 - w) + b * w`` is ``a + (b - a) * w``: one product of integers, which take
several cycles on many CPUs.

Sums that fit 16 bits are made in 16, which is where images grow or shrink by simple factors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from tvm import tirx

from assay.compiler.kernels.builder import Buffer, Expr, broadcast, constant
from assay.compiler.kernels.int8.builder import IntegerKernelBuilder
from assay.compiler.kernels.int8.mixing import Mixing, QuantizedResize
from assay.compiler.kernels.int8.stored import SIGN_FLIP
from assay.compiler.kernels.int8.vectors import bits_as, cast, shuffle
from assay.compiler.kernels.panels import PanelRun, split_columns
from assay.compiler.kernels.splits import column_vectors, floor_power_of_two
from assay.compiler.target import Isa

_FEW_CHANNELS = 8  # of which vectors would be mostly empty
_LONGEST = 2048  # elements of a row whose every vector has code of its own
_PANEL_VECTORS = 8  # channels per pass over a row


def unrolled(problem: QuantizedResize) -> bool:
    """Tell whether vectors run along rows: if channels are few and rows short."""
    few = problem.channels <= _FEW_CHANNELS
    return few and problem.out_w * problem.channels <= _LONGEST


@dataclass(frozen=True)
class BilinearLine:
    """Writes output rows; tables have (lower source, upper source, weight of the upper)."""

    b: IntegerKernelBuilder
    isa: Isa
    p: QuantizedResize
    rows: Mixing
    columns: Mixing
    source: Buffer
    output: Buffer

    @cached_property
    def _bits(self) -> int:
        """Bits that sums have behind the point."""
        return self.rows.bits + self.columns.bits

    @cached_property
    def _dtype(self) -> str:
        """Type of sums; they are not negative, but differences of 16 bits wrap around."""
        return "uint16" if self._bits <= 8 else "int32"

    @property
    def _lanes(self) -> int:
        return self.isa.lanes(16 if self._bits <= 8 else 32)

    def write_unrolled(self, lines: Sequence[Expr], below: Expr, target: Expr) -> None:
        """Write the row at ``target`` by shuffles of the mixture of two rows.

        That stays in registers: from memory it would come back as other vectors than it went.
        """
        b, p, columns = self.b, self.p, self.columns
        size = p.in_w * p.channels
        width = min(self._lanes, floor_power_of_two(size))
        starts = [*range(0, size - width, width), size - width]
        mixed: dict[int, Expr] = {}

        def pick(places: Sequence[int]) -> Expr:
            lanes = len(places)
            chosen = [min(place // width, len(starts) - 1) for place in places]
            used = sorted(set(chosen))
            for index in used:
                if index not in mixed:
                    mixed[index] = b.let(self._down(lines, below, starts[index], width))
            if lanes == width == 1:
                return mixed[chosen[0]]
            # A shuffle has no more lanes than its vectors together.
            used += used[:1] * (lanes // width - len(used))
            lane = [
                used.index(index) * width + place - starts[index]
                for index, place in zip(chosen, places, strict=True)
            ]
            return b.let(shuffle([mixed[index] for index in used], lane))

        for first, lanes in column_vectors(p.out_w * p.channels, self._lanes):
            made = [divmod(first + lane, p.channels) for lane in range(lanes)]
            pair = [
                pick([at[x] * p.channels + channel for x, channel in made])
                for at in (columns.lower, columns.upper)
            ]
            shares = [constant(columns.weights[x], 1, self._dtype) for x, _ in made]
            weight = shares[0] if lanes == 1 else shuffle(shares, range(lanes))
            self._store(target + first, self._mixed(pair, weight, columns.bits, lanes), lanes)

    def write(
        self,
        lines: Sequence[Expr],
        below: Expr,
        target: Expr,
        entry: Callable[[Expr], Sequence[Expr]],
    ) -> None:
        """Write the row at ``target``, in vectors of channels; ``entry`` loads a column's."""
        p = self.p
        rows_first = 3 * p.in_w < 2 * p.out_w  # loads and stores, for 4 at an output otherwise
        vectors = _PANEL_VECTORS
        if rows_first:  # in half the first-level cache
            most = self.isa.l1_bytes // 2 // (p.in_w * self.isa.vector_bits // 8)
            vectors = max(2, min(vectors, most))
        for run in split_columns(p.channels, self._lanes, vectors):
            with self.b.serial(run.count) as panel:
                channel = self.b.let(run.start + panel * run.packed_columns)
                if rows_first:
                    self._mixed_columns(run, channel, lines, below, target, entry)
                else:
                    self._mixed_pixels(run, channel, lines, below, target, entry)

    def _mixed_columns(
        self,
        run: PanelRun,
        channel: Expr,
        lines: Sequence[Expr],
        below: Expr,
        target: Expr,
        entry: Callable[[Expr], Sequence[Expr]],
    ) -> None:
        b, p = self.b, self.p
        offset, lanes = run.vectors[-1]
        if offset + lanes == p.channels:
            step, space = p.channels, self._whole_row(lines, below)
        else:
            step = run.packed_columns
            space = b.workspace("row", p.in_w * step, self._dtype)
            with b.serial(p.in_w) as column:
                for offset, lanes in run.vectors:
                    place = column * p.channels + channel + offset
                    b.store(
                        space, column * step + offset, self._down(lines, below, place, lanes), lanes
                    )
        self._mix_across(
            run,
            b.let(target + channel),
            entry,
            lambda column: column * step,
            lambda place, lanes: b.load(space, place, lanes),
        )

    def _mixed_pixels(
        self,
        run: PanelRun,
        channel: Expr,
        lines: Sequence[Expr],
        below: Expr,
        target: Expr,
        entry: Callable[[Expr], Sequence[Expr]],
    ) -> None:
        self._mix_across(
            run,
            self.b.let(target + channel),
            entry,
            lambda column: column * self.p.channels + channel,
            lambda place, lanes: self._down(lines, below, place, lanes),
        )

    def _mix_across(
        self,
        run: PanelRun,
        target: Expr,
        entry: Callable[[Expr], Sequence[Expr]],
        place: Callable[[Expr], Expr],
        load: Callable[[Expr, int], Expr],
    ) -> None:
        """Write a panel of a row; ``place`` and ``load`` say where a column is, and what."""
        b, p = self.b, self.p
        with b.serial(p.out_w) as column:
            left, right, weight = entry(column)
            places = [b.let(place(at)) for at in (left, right)]
            beside = self._weight(self.columns, weight)
            start = b.let(target + column * p.channels)
            for offset, lanes in run.vectors:
                pair = [b.let(load(at + offset, lanes)) for at in places]
                total = self._mixed(pair, broadcast(beside, lanes), self.columns.bits, lanes)
                self._store(start + offset, total, lanes)

    def _whole_row(self, lines: Sequence[Expr], below: Expr) -> Buffer:
        """Mix two rows, element by element."""
        b, size = self.b, self.p.in_w * self.p.channels
        space = b.workspace("row", size, self._dtype)
        with b.vectors(size, self._lanes) as (first, lanes):
            b.store(space, first, self._down(lines, below, first, lanes), lanes)
        return space

    def _down(self, lines: Sequence[Expr], below: Expr, place: Expr, lanes: int) -> Expr:
        """Return the mixture of the elements at ``place`` of two rows."""
        b, dtype = self.b, self._dtype
        pair = [b.let(cast(dtype, b.load(self.source, at + place, lanes), lanes)) for at in lines]
        weight = broadcast(self._weight(self.rows, below), lanes)
        return self._mixed(pair, weight, self.rows.bits, lanes)

    def _weight(self, axis: Mixing, loaded: Expr) -> Expr:
        """Return a weight in the type of sums: the axis' only one, or what the table says."""
        if axis.constant is not None:
            return constant(axis.constant, 1, self._dtype)
        return self.b.let(tirx.Cast(self._dtype, loaded))

    def _mixed(self, pair: Sequence[Expr], weight: Expr, bits: int, lanes: int) -> Expr:
        """Return ``first * (1 - weight) + second * weight`` in steps of 2**-bits of theirs."""
        first, second = pair
        if bits == 0:  # all weights are 0
            return first
        return (first << constant(bits, lanes, self._dtype)) + (second - first) * weight

    def _store(self, place: Expr, total: Expr, lanes: int) -> None:
        """Round a vector of sums half away from zero, and store it."""
        b, bits, dtype = self.b, self._bits, self._dtype
        if bits:
            total = b.let(total)
            if self.p.signed:
                size = 16 if dtype == "uint16" else 32
                above = total - constant(SIGN_FLIP << bits, lanes, dtype)
                sign = bits_as(f"int{size}", above, lanes)
                sign = sign >> constant(size - 1, lanes, f"int{size}")  # -1, or 0
                total = total + bits_as(dtype, sign, lanes)
            half, bits = (constant(n, lanes, dtype) for n in (1 << (bits - 1), bits))
            total = (total + half) >> bits
        b.store(self.output, place, cast("uint8", total, lanes), lanes)
