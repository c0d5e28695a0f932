"""Asks for the lines that the next register tile writes while this one is summed up.

Where tensors outgrow the second-level cache, the lines that results go to have to come from one
that all cores share, or from the memory. A tile of small depth that asks for its own lines gets
them too late, and to ask for all of a tile's lines at once halts the core: it keeps only a dozen
requests open. So a tile asks for those of the next one, some rows before each part of its steps.
"""

from __future__ import annotations

from collections.abc import Callable

from assay.compiler.kernels.builder import Expr, KernelBuilder, RegisterTile
from assay.compiler.kernels.tiles import FEW_TURNS

MOST_PARTS = 3  # more gain nothing


def sum_in_parts(
    b: KernelBuilder,
    tile: RegisterTile,
    turns: int,
    ask: Callable[[int, int], None],
    add: Callable[[Expr], None],
) -> None:
    """Let ``add`` add ``turns`` steps of depth to a tile, in parts.

    Before each part, ``ask`` asks for some of as many rows as the tile has, from the first to
    before the second.
    """
    parts = max(1, min(MOST_PARTS, tile.rows, turns // FEW_TURNS))
    for part in range(parts):
        ask(tile.rows * part // parts, tile.rows * (part + 1) // parts)
        first, end = turns * part // parts, turns * (part + 1) // parts
        with b.serial(end - first, carry=tile) as turn:
            add(turn + first)
