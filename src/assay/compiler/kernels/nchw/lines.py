"""Pieces of image lines as vectors, loaded from where the image is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tvm import tirx

from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, constant
from assay.compiler.kernels.nchw.gather import gather


@dataclass(frozen=True)
class ImageLine:
    """A line of ``size`` pixels that starts at element ``start`` of ``source``.

    Elements from ``start + low`` up to ``start + high`` may be read, so that a vector may reach
    beyond the line. ``masks`` says that loads may leave out lanes at no cost, as in AVX-512.
    """

    b: KernelBuilder
    source: Buffer
    start: Expr
    size: int
    low: int
    high: int
    masks: bool = False

    def piece(self, first: int, wanted: Sequence[bool], lanes: int) -> Expr | None:
        """Return a vector of pixels from ``first`` on; None if none is on the line and wanted.

        Those that are not are zero; lanes after the last pixel hold anything that may be read.
        """
        pixels = len(wanted)
        places = [
            at if wants and 0 <= at < self.size else None for at, wants in enumerate(wanted, first)
        ]
        if places.count(None) == pixels:
            return None
        b = self.b
        if self.masks and lanes > 1:
            return b.let(self._masked(first, [*places, *range(first + pixels, first + lanes)]))
        if lanes == 1 or self.high - self.low < lanes:
            return b.let(gather(b, self.source, self.start, [*places, *[None] * (lanes - pixels)]))
        start = min(max(first, self.low), self.high - lanes)
        value = b.let(b.load(self.source, self.start + start, lanes))
        if start != first:
            moved = [lane + first - start for lane in range(lanes)]
            value = shuffled([value], [lane if 0 <= lane < lanes else 0 for lane in moved])
        if None in places:
            zero = [lane + lanes * (place is None) for lane, place in enumerate(places)]
            value = shuffled([value, constant(0.0, lanes)], [*zero, *range(pixels, lanes)])
        return b.let(value)

    def _masked(self, first: int, places: Sequence[int | None]) -> Expr:
        """Load a vector from ``first`` on, without the lanes that have no place."""
        lanes = len(places)
        chosen = [at is not None and self.low <= at < self.high for at in places]
        if all(chosen):
            return self.b.load(self.source, self.start + first, lanes)
        mask = shuffled([tirx.IntImm("bool", int(one)) for one in chosen], range(lanes))
        address = tirx.address_of(self.b.load(self.source, self.start + first))
        nothing = constant(0.0, lanes)
        dtype = f"float32x{lanes}"
        return tirx.call_llvm_pure_intrin(dtype, "llvm.masked.load", address, mask, nothing)


def shuffled(vectors: Sequence[Expr], lanes: Sequence[int]) -> Expr:
    """Return lanes of some vectors, by their numbers in all of them."""
    return tirx.Shuffle(list(vectors), [tirx.IntImm("int32", lane) for lane in lanes])
