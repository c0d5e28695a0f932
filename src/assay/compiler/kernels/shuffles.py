"""Vectors rearranged in registers."""

from __future__ import annotations

from collections.abc import Sequence

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


def _shuffle(vectors: list[Expr], lanes: list[int]) -> Expr:
    return tirx.Shuffle(vectors, [tirx.IntImm("int32", lane) for lane in lanes])
