"""Vectors rearranged in registers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tvm import tirx

from assay.compiler.kernels.builder import Expr, KernelBuilder


def transposed(b: KernelBuilder, rows: Sequence[Expr]) -> list[Expr]:
    """Transpose a square of as many vectors as each has lanes, a power of two.

    Each step swaps off-diagonal squares of twice the size (Eklundh, "A fast computer method for
    matrix transposing", 1972): log2(lanes) steps of one shuffle a vector.
    """
    size = len(rows)
    rows = list(rows)
    step = 1
    while step < size:
        swapped = [lane & step for lane in range(size)]
        upper = [size + lane - step if swap else lane for lane, swap in enumerate(swapped)]
        lower = [size + lane if swap else lane + step for lane, swap in enumerate(swapped)]
        for index in range(size):
            if not index & step:
                pair = [rows[index], rows[index + step]]
                rows[index] = b.let(_shuffle(pair, upper))
                rows[index + step] = b.let(_shuffle(pair, lower))
        step *= 2
    return rows


def deinterleaved(vectors: Sequence[Expr], size: int) -> list[Expr]:
    """Deal the lanes of all vectors, one after the other, out to as many vectors of that size."""
    count = len(vectors)
    lanes = range(count * size)
    return [_shuffle(list(vectors), list(lanes[first::count])) for first in range(count)]


def folded_rows(
    b: KernelBuilder, rows: Sequence[Expr], lanes: int, combine: Callable[[Expr, Expr], Expr]
) -> Expr:
    """Combine the lanes of each vector; lane ``i`` of the result is what vector ``i`` holds.

    There are at most four, a power of two, which is the result's number of lanes: shuffles within
    runs of four lanes take an instruction on every CPU.
    """
    rows, count = list(rows), len(rows)
    run = count
    while len(rows) > 1:
        pairs = list(zip(rows[::2], rows[1::2], strict=True))
        rows = [_folded_runs(b, pair, lanes, (count, run), combine) for pair in pairs]
        run //= 2
    (value,) = rows
    while lanes > count:
        lanes //= 2
        halves = [_shuffle([value], list(range(at, at + lanes))) for at in (0, lanes)]
        value = b.let(combine(*halves))
    return value


def _folded_runs(
    b: KernelBuilder,
    pair: tuple[Expr, Expr],
    lanes: int,
    sizes: tuple[int, int],
    combine: Callable[[Expr, Expr], Expr],
) -> Expr:
    """Combine the halves of all runs of two vectors.

    ``sizes`` are those of stretches and of the runs in them. A stretch of the result has what comes
    of the left vector's before the right one's.
    """
    stretch, run = sizes
    first = [
        vector + begin + start + lane
        for begin in range(0, lanes, stretch)
        for vector in (0, lanes)
        for start in range(0, stretch, run)
        for lane in range(run // 2)
    ]
    second = [lane + run // 2 for lane in first]
    return b.let(combine(_shuffle(list(pair), first), _shuffle(list(pair), second)))


def _shuffle(vectors: list[Expr], lanes: list[int]) -> Expr:
    return tirx.Shuffle(vectors, [tirx.IntImm("int32", lane) for lane in lanes])
