"""Rows of bilinear resizing, exact: weighted sums in steps of 2**-20, rounded half away from zero.

The two input rows of an output row are mixed to one of int32 first where that saves work, and its
columns after that. ``a * (1 - w) + b * w`` is ``a + (b - a) * w``: one product of integers, which
take several cycles on many CPUs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from assay.compiler.kernels.builder import Buffer, Expr, broadcast, constant
from assay.compiler.kernels.int8.builder import IntegerKernelBuilder
from assay.compiler.kernels.int8.stored import SIGN_FLIP
from assay.compiler.kernels.int8.vectors import cast, shuffle
from assay.compiler.kernels.nchw.gather import gather
from assay.compiler.kernels.panels import PanelRun, split_columns
from assay.compiler.kernels.splits import column_vectors
from assay.compiler.target import Isa

_FEW_CHANNELS = 8  # of which vectors would be mostly empty
_LONGEST = 1024  # elements of a row whose every vector has code of its own
_PANEL_VECTORS = 8  # channels per pass over a row
BITS = 10
"""Bits of a bilinear weight, which counts in 1/1024."""

ONE = 1 << BITS


@dataclass(frozen=True)
class QuantizedResize:
    """Resizing of uint8 (stored) images; ``signed`` says that the model's own integers are int8.

    Kernel parameters, in order: input, table of rows and table of columns (int32
    [size, 3]: lower source, upper source, weight of the upper), output.
    """

    kind: Literal["nearest", "bilinear"]
    batch: int
    in_h: int
    in_w: int
    channels: int
    out_h: int
    out_w: int
    signed: bool
    align_corners: bool = False
    half_pixel_centers: bool = False


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
    source: Buffer
    output: Buffer

    def write_unrolled(
        self, lines: Sequence[Expr], below: Expr, target: Expr, entries: Sequence[Sequence[int]]
    ) -> None:
        """Write the row at ``target`` by shuffles; ``entries`` are those of its columns."""
        b, p = self.b, self.p
        space = self._whole_row(lines, below)
        for first, lanes in column_vectors(p.out_w * p.channels, self.isa.lanes()):
            made = [divmod(first + lane, p.channels) for lane in range(lanes)]
            places = ([entries[x][side] * p.channels + c for x, c in made] for side in (0, 1))
            left, right = (b.let(gather(b, space, 0, each, dtype="int32")) for each in places)
            shares = [constant(entries[x][2], dtype="int32") for x, _ in made]
            self._store(
                target + first, _mixed(left, right, shuffle(shares, range(lanes)), lanes), lanes
            )

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
            most = self.isa.l1_bytes // 2 // (4 * p.in_w * self.isa.lanes())
            vectors = max(2, min(vectors, most))
        for run in split_columns(p.channels, self.isa.lanes(), vectors):
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
            space = b.workspace("row", p.in_w * step, "int32")
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
            left, right, beside = entry(column)
            places = [b.let(place(at)) for at in (left, right)]
            start = b.let(target + column * p.channels)
            for offset, lanes in run.vectors:
                pair = [b.let(load(at + offset, lanes)) for at in places]
                total = _mixed(pair[0], pair[1], broadcast(beside, lanes), lanes)
                self._store(start + offset, total, lanes)

    def _whole_row(self, lines: Sequence[Expr], below: Expr) -> Buffer:
        """Mix two rows, element by element."""
        b, size = self.b, self.p.in_w * self.p.channels
        space = b.workspace("row", size, "int32")
        with b.vectors(size, self.isa.lanes()) as (first, lanes):
            b.store(space, first, self._down(lines, below, first, lanes), lanes)
        return space

    def _down(self, lines: Sequence[Expr], below: Expr, place: Expr, lanes: int) -> Expr:
        """Return the mixture of the elements at ``place`` of two rows."""
        b = self.b
        pair = [b.let(cast("int32", b.load(self.source, at + place, lanes), lanes)) for at in lines]
        return _mixed(pair[0], pair[1], broadcast(below, lanes), lanes)

    def _store(self, place: Expr, total: Expr, lanes: int) -> None:
        """Round a vector of sums half away from zero, and store it."""
        b, bits = self.b, 2 * BITS
        half, zero = 1 << (bits - 1), SIGN_FLIP << bits
        total = b.let(total)
        if self.p.signed:
            negative = (total - constant(zero, lanes, "int32")) >> constant(31, lanes, "int32")
            total = total + negative  # -1, or 0
        value = (total + constant(half, lanes, "int32")) >> constant(bits, lanes, "int32")
        b.store(self.output, place, cast("uint8", value, lanes), lanes)


def _mixed(first: Expr, second: Expr, weight: Expr, lanes: int) -> Expr:
    """Return ``first * (1 - weight) + second * weight`` in steps of 1/1024 of theirs."""
    return (first << constant(BITS, lanes, "int32")) + (second - first) * weight
