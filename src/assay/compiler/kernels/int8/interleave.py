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
from assay.compiler.kernels.int8.vectors import bits_as, rounded, shuffle, unpack
from assay.compiler.target import Isa

_BLOCK = 16  # bytes in which x86 and ARM interleave


def most_channels(isa: Isa, dot: Dot) -> int:
    """Channels of the widest vector: as many as fill the interleaved registers."""
    return 4 * isa.lanes()


def lanes_of(dot: Dot, channels: int) -> tuple[int, int]:
    """Return (vectors, lanes) of sums for a vector of channels."""
    count = min(dot.taps, channels // LEAST_LANES)
    return count, channels // count


def instructions(dot: Dot) -> int:
    """Count loads and shuffles that interleave ``taps`` rows of the widest vector."""
    return 4 + 8 if dot.taps == 4 else 1


def interleave(b: KernelBuilder, dot: Dot, rows: Sequence[Expr], channels: int) -> list[Expr]:
    """Interleave ``dot.taps`` converted vectors; ``stored.lane_order`` says which lane is which."""
    if dot.taps == 1:
        return list(rows)
    count, lanes = lanes_of(dot, channels)
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
    return [b.let(bits_as(dot.inputs, quad, 4 * lanes)) for quad in quads]


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
