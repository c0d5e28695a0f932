"""Asks for the next panel of weights while register tiles multiply by this one.

Weights of large layers come from the memory or a cache that all cores share, once per inference.
Such a cache answers late and slowly: requests have to go out long before the answers are needed,
and evenly, as a core keeps only a dozen open. So each of the tiles that a panel serves asks for
its share of the panel after it, a little at every step of depth.
"""

from __future__ import annotations

from dataclasses import dataclass

from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, minimum
from assay.compiler.kernels.epilogue_writer import LINE_FLOATS


@dataclass(frozen=True)
class NextPanel:
    """What one tile asks for: ``share`` floats at every step of depth, from ``first`` on."""

    weights: Buffer
    first: Expr
    share: int

    def ask(self, b: KernelBuilder, step: Expr, steps: int = 1) -> None:
        """Ask for the shares of a few steps."""
        for line in range(0, self.share * steps, LINE_FLOATS):
            b.prefetch(self.weights, self.first + step * self.share + line, second=True)


def next_panel(
    b: KernelBuilder,
    weights: Buffer,
    start: Expr,
    size: tuple[int, int],
    tile: tuple[Expr, int],
) -> NextPanel:
    """Return what a tile asks for: a part of the memory behind its panel, as long as that.

    The panel begins at ``start`` and is of ``size``, depth and columns; ``tile`` is the tile's
    number, and how many there are. Behind the last panel lie the bias and the weights of the next
    kernel: libraries hold constants in the order of use. To ask for what is not there does nothing.
    """
    depth, columns = size
    number, tiles = tile
    share = -(-columns // tiles)
    following = start + depth * columns
    part = minimum(number * (depth * share), depth * (columns - share))
    return NextPanel(weights, b.let(following + part), share)
