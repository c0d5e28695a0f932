"""What neighbouring outputs see of an image line: vectors loaded from where the image is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tvm import tirx

from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, constant
from assay.compiler.kernels.nchw.gather import gather
from assay.compiler.kernels.nchw.unrolled import line_places
from assay.compiler.kernels.windows import Window


@dataclass(frozen=True)
class ImageLine:
    """A line that starts at element ``start`` of ``source``.

    Elements from ``start + low`` up to ``start + high`` may be read, so that a vector may reach
    beyond the line: lanes beside the image are set to zero, lanes without an output hold anything.
    """

    b: KernelBuilder
    source: Buffer
    start: Expr
    low: int
    high: int
    _loaded: dict[int, Expr] = field(default_factory=dict)

    def seen(self, columns: Window, tap: int, first: int, outputs: int, lanes: int) -> Expr | None:
        """Return what outputs from ``first`` on see through a tap; None if all look beside.

        Loads begin where the first output looks at the line, so that most are used as they are. The
        taps that are a multiple of the stride apart in phase share them, and shuffles pick lanes.
        """
        b, stride = self.b, columns.stride
        places = line_places(columns, tap, first, outputs)
        if places.count(None) == outputs:
            return None
        if lanes == 1 or self.high - self.low < lanes:
            return b.let(gather(b, self.source, self.start, [*places, *[None] * (lanes - outputs)]))
        phase = tap * columns.dilation % stride
        origin = columns.source(first, tap) - phase
        starts = self._starts(
            [place - origin for place in places if place is not None], origin, lanes
        )
        vectors = [self._load(start, lanes) for start in starts]
        natural = [origin + phase + lane * stride for lane in range(lanes)]
        chosen = [_lane(place, starts, lanes) for place in natural]
        value = vectors[0]
        if chosen != list(range(lanes)):
            value = b.let(_shuffle(vectors, chosen))
        if None in places:
            zeroed = [lane + (places[lane] is None) * lanes for lane in range(outputs)]
            zeroed += range(outputs, lanes)
            value = b.let(_shuffle([value, constant(0.0, lanes)], zeroed))
        return value

    def _starts(self, offsets: Sequence[int], origin: int, lanes: int) -> list[int]:
        """Return where loads start that together hold all ``offsets`` from the origin."""
        wanted = sorted({offset // lanes * lanes for offset in offsets})
        inside = [min(max(origin + start, self.low), self.high - lanes) for start in wanted]
        return sorted(set(inside))

    def _load(self, start: int, lanes: int) -> Expr:
        if start not in self._loaded:
            vector = self.b.load(self.source, self.start + start, lanes)
            self._loaded[start] = self.b.let(vector)
        return self._loaded[start]


def _lane(place: int, starts: Sequence[int], lanes: int) -> int:
    """Return where a place is in the concatenation of the loads, anywhere if it was not loaded."""
    for index, start in enumerate(starts):
        if start <= place < start + lanes:
            return index * lanes + place - start
    return 0


def _shuffle(vectors: list[Expr], lanes: Sequence[int]) -> Expr:
    return tirx.Shuffle(vectors, [tirx.IntImm("int32", lane) for lane in lanes])
