"""Depthwise sums by dot products: taps of one channel side by side in a lane.

A dot-product instruction sums ``taps`` neighbours within a lane. For a depthwise window these are
pixels of several image rows in the same column: their vectors of channels are interleaved, and the
result serves every output, and every column of the window, that sees these rows.
"""

from __future__ import annotations

from collections.abc import Sequence

from assay.compiler.kernels.builder import Expr, KernelBuilder
from assay.compiler.kernels.int8.dot import Dot
from assay.compiler.kernels.int8.panels import LEAST_LANES
from assay.compiler.kernels.int8.vectors import bits_as, cast, rounded, shuffle, unpack
from assay.compiler.target import Isa

MOST_INTERLEAVED = 4
"""Rows of the widest dot products: of these, vectors come back in an order of their own."""

_BLOCK = 16  # bytes in which x86 and ARM interleave


def most_channels(isa: Isa, dot: Dot) -> int:
    """Channels worked on together: with four taps, as many as fill the interleaved registers."""
    return (MOST_INTERLEAVED if dot.taps == MOST_INTERLEAVED else 1) * isa.lanes()


def channel_order(dot: Dot, channels: int) -> tuple[int, ...]:
    """Return which channel each place holds after :func:`interleave`."""
    count = _quads(channels) if dot.taps == MOST_INTERLEAVED else 1
    lanes = channels // count
    if count == 1:
        return tuple(range(channels))
    # Within a block of 16 channels each vector has four neighbours.
    return tuple(
        4 * count * (lane // 4) + 4 * vector + lane % 4
        for vector in range(count)
        for lane in range(lanes)
    )


def interleave(b: KernelBuilder, dot: Dot, rows: Sequence[Expr], channels: int) -> list[Expr]:
    """Interleave ``dot.taps`` vectors of stored bytes as the dot product takes them.

    The vectors that come back are of one size, ``channels * dot.taps`` elements together.
    """
    if dot.taps < MOST_INTERLEAVED:
        order = [lane + row * channels for lane in range(channels) for row in range(dot.taps)]
        stored = rows[0] if dot.taps == 1 else shuffle(rows, order)
        return [b.let(cast(dot.inputs, stored, channels * dot.taps))]
    rows = [b.let(dot.convert(row, channels)) for row in rows]
    count = _quads(channels)
    # Bytes of two rows each make words, and words of both make quads.
    word_count = 2 if count == 4 else 1
    size = channels // word_count
    words = [
        [b.let(settled(half, size)) for half in _interleaved(*pair, channels, _BLOCK, word_count)]
        for pair in ((rows[0], rows[1]), (rows[2], rows[3]))
    ]
    quads = [
        quad
        for left, right in zip(*words, strict=True)
        for quad in _interleaved(left, right, size, _BLOCK // 2, min(count, 2))
    ]
    return [b.let(bits_as(dot.inputs, quad, 4 * channels // count)) for quad in quads]


def _quads(channels: int) -> int:
    """Return how many vectors four interleaved ones make."""
    return min(4, channels // LEAST_LANES)


def settled(value: Expr, words: int) -> Expr:
    """Return bytes as words, so that LLVM takes the shuffles behind and before it one by one.

    Where a CPU has byte permutations, LLVM would take very long to think about merging them.
    """
    floats = rounded(bits_as("float32", value, words // 2), words // 2)
    return bits_as("int16", floats, words)


def _interleaved(left: Expr, right: Expr, lanes: int, block: int, count: int) -> tuple[Expr, ...]:
    """Interleave into one vector, or into two block by block."""
    if count == 2:
        return unpack(left, right, lanes, block)
    order = [lane + start for lane in range(lanes) for start in (0, lanes)]
    return (shuffle((left, right), order),)
