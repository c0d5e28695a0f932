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
    factor: Expr | None = None,
) -> None:
    """Add one row of a packed panel times one input per tile row.

    ``weights`` are the packed panels and the offset of the row in them; ``inputs`` a buffer and,
    for each tile row that takes part, (row, offset). ``factor``, a scalar, scales the weights.
    """
    packed, offset = weights
    right = []
    for start, lanes in zip(run.packed_starts(), run.widths, strict=True):
        vector = b.load(packed, offset + start, lanes)
        if factor is not None:
            vector = vector * broadcast(factor, lanes)
        right.append(b.let(vector))
    source, rows = inputs
    for row, position in rows:
        left = b.let(b.load(source, position))
        for column, lanes in enumerate(run.widths):
            tile.add_product(row, column, broadcast(left, lanes), right[column])
