"""From sums to stored bytes: requantization, and the addition that may be fused behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, constant
from assay.compiler.kernels.int8.depth import LINE_BYTES
from assay.compiler.kernels.int8.fused import FusedSum, fused_sum
from assay.compiler.kernels.int8.problem import Addition, Linear
from assay.compiler.kernels.int8.stored import (
    BYTES,
    INT32,
    from_bytes,
    lane_order,
    nearest_real,
    packs,
    to_bytes,
)
from assay.compiler.kernels.int8.vectors import cast, concatenate, llvm, rounded, shuffle
from assay.compiler.target import Isa


@dataclass(frozen=True)
class Place:
    """Where an output is in tensors of the output's own shape, and where it is ``written``.

    From pixel to pixel these move by ``step`` and ``written_step`` elements.
    """

    own: Expr
    written: Expr
    step: int = 0
    written_step: int = 0

    def moved(self, pixels: int, channels: int) -> Place:
        """Return the place of an output further on."""
        own = self.own + (pixels * self.step + channels)
        written = self.written + (pixels * self.written_step + channels)
        return Place(own, written, self.step, self.written_step)


@dataclass(frozen=True)
class OutputWriter:
    """Writes vectors of a problem's sums to the output; ``addend`` is the addition's tensor."""

    b: KernelBuilder
    isa: Isa
    problem: Linear
    output: Buffer
    addend: Buffer | None = None

    def place(self, pixel: Expr, channel: Expr) -> Place:
        """Return the place of a channel of a pixel, NHWC."""
        geometry = self.problem.geometry
        step, inside = geometry.output_shape[-1], geometry.epilogue.inside
        own = self.b.let(pixel * step + channel)
        if inside is None:
            return Place(own, own, step, step)
        return Place(own, self.b.let(inside.place(pixel, channel)), step, inside.step)

    def write(
        self,
        sums: Sequence[Expr],
        multipliers: Sequence[Expr],
        lanes: int,
        place: Place,
        columns: int,
    ) -> None:
        """Store int32 sums as bytes from a place on, no more than ``columns`` of them."""
        reals = [
            cast("float32", total, lanes) * multiplier
            for total, multiplier in zip(sums, multipliers, strict=True)
        ]
        problem = self.problem
        if problem.addition is None:
            stored = to_bytes(self.b, self.isa, reals, lanes, problem.output, problem.shrinks)
        else:
            count = len(sums) * lanes
            other = load_first(self.b, self.addend, self.b.let(place.own), count, columns)
            stored = self._added(problem.addition, reals, lanes, other)
        written = self.b.let(place.written)
        store_first(self.b, self.output, written, stored, len(sums) * lanes, columns)

    def write_pixels(
        self,
        sums: Sequence[Sequence[Expr]],
        multipliers: Sequence[Expr],
        lanes: int,
        first: Place,
        order: Sequence[int],
    ) -> None:
        """Store the same channels of several pixels, which follow each other from ``first`` on.

        Each pixel's sums are some vectors; ``order`` says which channel each of their lanes holds.
        Vectors of neighbours are narrowed together where that is faster.
        """
        vectors, start = len(multipliers), 0
        while start < len(sums):
            rest = len(sums) - start
            count = next(
                (n for n in (4, 2) if n <= rest and packs(self.isa, n * vectors, lanes)), 1
            )
            place = first.moved(start, 0)
            self._write_together(sums[start : start + count], multipliers, lanes, place, order)
            start += count

    def _write_together(
        self,
        sums: Sequence[Sequence[Expr]],
        multipliers: Sequence[Expr],
        lanes: int,
        first: Place,
        order: Sequence[int],
    ) -> None:
        b, problem, width = self.b, self.problem, len(order)
        count = len(sums) * len(multipliers)
        reals = [
            cast("float32", total, lanes) * multiplier
            for pixel in sums
            for total, multiplier in zip(pixel, multipliers, strict=True)
        ]
        # Where each byte comes from: narrowing permutes lanes, and they hold channels in an order.
        channels = [pixel * width + channel for pixel in range(len(sums)) for channel in order]
        source = [0] * len(channels)
        for channel, place in zip(channels, lane_order(self.isa, count, lanes), strict=True):
            source[channel] = place
        if problem.addition is None:
            stored = to_bytes(b, self.isa, reals, lanes, problem.output, problem.shrinks)
        else:
            others = [
                b.load(self.addend, first.moved(pixel, 0).own, width) for pixel in range(len(sums))
            ]
            back = [source.index(place) for place in range(len(source))]
            other = _permuted(concatenate(others, width), back)
            stored = self._added(problem.addition, reals, lanes, b.let(other))
        natural = b.let(_permuted(stored, source))
        if first.written_step == width or len(sums) == 1:
            b.store(self.output, b.let(first.written), natural, len(source))
            return
        for pixel in range(len(sums)):
            value = shuffle([natural], range(pixel * width, (pixel + 1) * width))
            b.store(self.output, b.let(first.moved(pixel, 0).written), value, width)

    def fetch_addend(self, place: Place, count: int) -> None:
        """Ask for what is going to be added to ``count`` outputs from a place on."""
        if self.addend is not None:
            for line in range(0, count, LINE_BYTES):
                self.b.prefetch(self.addend, place.own + line)

    def _added(self, addition: Addition, reals: Sequence[Expr], lanes: int, other: Expr) -> Expr:
        b = self.b
        others = from_bytes(b, self.isa, other, len(reals), lanes)
        fused = fused_sum(addition, self.problem.output) if self.isa.fma else None
        totals = []
        for real, integer in zip(reals, others, strict=True):
            quantized = nearest_real(self.isa, real, lanes, self.problem.output)
            if fused:
                total = _fused(fused, quantized, cast("float32", integer, lanes), lanes)
            else:
                total = _separate(addition, quantized, integer, lanes)
            totals.append(b.let(total))
        largest = BYTES * (abs(addition.factor) + abs(addition.other_factor))
        output = fused.output if fused else addition.output
        return to_bytes(b, self.isa, totals, lanes, output, largest < INT32)


def _permuted(value: Expr, source: Sequence[int]) -> Expr:
    """Return a vector whose lanes come from these."""
    return value if list(source) == list(range(len(source))) else shuffle([value], source)


def _separate(addition: Addition, quantized: Expr, other: Expr, lanes: int) -> Expr:
    left = rounded(quantized * constant(addition.factor, lanes), lanes)
    centred = other - constant(addition.other_zero_point, lanes, "int32")
    right = cast("float32", centred, lanes) * constant(addition.other_factor, lanes)
    return left + rounded(right, lanes)


def _fused(fused: FusedSum, quantized: Expr, other: Expr, lanes: int) -> Expr:
    factor, other_factor, start = (
        constant(value, lanes) for value in (fused.factor, fused.other_factor, fused.start)
    )
    inner = llvm("float32", lanes, "llvm.fma", factor, quantized, start)
    return llvm("float32", lanes, "llvm.fma", other_factor, other, inner)


def load_first(b: KernelBuilder, source: Buffer, offset: Expr, lanes: int, count: int) -> Expr:
    """Load a vector of which only the first ``count`` lanes may be read; the rest repeats one."""
    if count >= lanes:
        return b.let(b.load(source, offset, lanes))
    scalars = [b.load(source, offset + min(lane, count - 1)) for lane in range(lanes)]
    return b.let(shuffle(scalars, range(lanes)))


def store_first(
    b: KernelBuilder, target: Buffer, offset: Expr, value: Expr, lanes: int, count: int
) -> None:
    """Store the first ``count`` lanes of a vector."""
    if count >= lanes:
        b.store(target, offset, value, lanes)
        return
    for lane in range(count):
        b.store(target, offset + lane, shuffle([value], [lane]))
