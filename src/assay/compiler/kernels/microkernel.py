"""The innermost step that all matrix-like kernels share: an outer product into a register tile."""

from __future__ import annotations

from collections.abc import Iterable

from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, RegisterTile, broadcast
from assay.compiler.kernels.panels import PanelRun


def add_outer_product(
    b: KernelBuilder,
    tile: RegisterTile,
    run: PanelRun,
    weights: tuple[Buffer, Expr],
    inputs: tuple[Buffer, Iterable[tuple[int, Expr]]],
) -> None:
    """Add one row of a packed panel times one input per tile row.

    ``weights`` are the packed panels and the offset of the row in them; ``inputs`` a buffer and,
    for each tile row that takes part, (row, offset).
    """
    packed, offset = weights
    starts = zip(run.packed_starts(), run.widths, strict=True)
    vectors = [(offset + start, lanes) for start, lanes in starts]
    add_products(b, tile, (packed, vectors), inputs)


def add_products(
    b: KernelBuilder,
    tile: RegisterTile,
    vectors: tuple[Buffer, Iterable[tuple[Expr, int]]],
    scalars: tuple[Buffer, Iterable[tuple[int, Expr]]],
    factor: Expr | None = None,
) -> None:
    """Add vectors, (offset, lanes) of each column, times one scalar per row, (row, offset).

    ``factor``, a scalar, scales the vectors.
    """
    buffer, places = vectors
    right = []
    for offset, lanes in places:
        vector = b.load(buffer, offset, lanes)
        if factor is not None:
            vector = vector * broadcast(factor, lanes)
        right.append(b.let(vector))
    source, rows = scalars
    for row, position in rows:
        left = b.let(b.load(source, position))
        for column, lanes in enumerate(tile.widths):
            tile.add_product(row, column, broadcast(left, lanes), right[column])
