"""Integer matrix products with packed weights: the core of convolutions and dense layers.

The output is lines of pixels, see :mod:`product_writer`. Where the CPU multiplies matrix tiles,
and that is faster, weights are packed for those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.compiler.kernels.builder import Buffer
from assay.compiler.kernels.int8.depth import Depth, pack_depth
from assay.compiler.kernels.int8.dot import Dot, choose_dot
from assay.compiler.kernels.int8.panels import pack_columns, packed_order
from assay.compiler.kernels.int8.plan import (
    Cut,
    Grid,
    Placement,
    Plan,
    make_plan,
    tile_isa,
    vector_cut,
)
from assay.compiler.kernels.int8.problem import Linear, PackedWeights, folded_bias
from assay.compiler.kernels.int8.tile_depth import TileDepth
from assay.compiler.kernels.int8.tile_plan import TilePlan, pays, tile_cut
from assay.compiler.kernels.int8.views import InPlace, View
from assay.compiler.target import Isa


@dataclass(frozen=True)
class Product:
    """What is multiplied, and where the inputs are; groups follow each other in the channels.

    ``placement`` says where outputs go; without one the grid is all of the output, in order.
    """

    problem: Linear
    grid: Grid
    depth: Depth
    view: View
    placement: Placement | None = None

    def tile_depth(self, isa: Isa) -> TileDepth | None:
        """Return the depth as matrix tiles see it, or None if vectors are faster."""
        depth = TileDepth(self.depth, goes_on=not isinstance(self.view, InPlace))
        return depth if pays(isa, self.grid, depth) else None

    def vector_cut(self, isa: Isa, dot: Dot) -> Cut:
        """Choose register tiles and panels for products of vectors."""
        return vector_cut(self._as_seen(isa, dot), dot, self.grid, self.depth)

    def plan(self, isa: Isa, dot: Dot, input_bytes: int, parallel: int) -> Plan:
        """Choose tiles, parts, and what threads share out, for products of vectors."""
        cut, seen = self.vector_cut(isa, dot), self._as_seen(isa, dot)
        return make_plan(seen, cut, self.grid, self.depth, self.view, input_bytes, parallel, Plan)

    def tile_plan(self, isa: Isa, input_bytes: int, parallel: int) -> TilePlan:
        """Choose the same for products of matrix tiles."""
        cut = tile_cut(self.grid)
        return make_plan(
            isa, cut, self.grid, self.depth, self.view, input_bytes, parallel, TilePlan
        )

    def _as_seen(self, isa: Isa, dot: Dot) -> Isa:
        p = self.problem
        return tile_isa(isa, dot, p.weights_zero_point, added=p.addition is not None)


@dataclass(frozen=True)
class Constants:
    """Buffers of what :func:`pack_product` packs, and where a product's own begin in them."""

    weights: Buffer
    bias: Buffer
    multipliers: Buffer
    first_weight: int = 0
    first_column: int = 0


def pack_product(
    product: Product,
    isa: Isa,
    weights: NDArray[np.int8],
    bias: NDArray[np.int32],
    multipliers: NDArray[np.float32],
) -> PackedWeights:
    """Pack weights [segments, length, groups * columns] and what comes per output channel."""
    dot, grid, p = choose_dot(isa), product.grid, product.problem
    zero_point = p.input_zero_point - dot.input_offset
    bias = folded_bias(bias, weights, zero_point, p.weights_zero_point)
    tiles = product.tile_depth(isa)
    cut = tile_cut(grid) if tiles else product.vector_cut(isa, dot)
    order = packed_order(isa, grid.columns, cut.runs)
    packed: list[list[NDArray[Any]]] = [[], [], []]
    for group in range(grid.groups):
        columns = slice(group * grid.columns, (group + 1) * grid.columns)
        own = weights[..., columns]
        zero = p.weights_zero_point
        steps = tiles.pack(own) if tiles else pack_depth(product.depth, dot, own, zero)
        words = steps.view(f"int{8 * cut.step}")[..., 0]
        if tiles:
            pieces = [tiles.pack_panel(words[:, panel]) for panel in order]
            packed[0].append(np.concatenate(pieces).view(np.int8))
        else:
            packed[0].append(pack_columns(words, order).view(np.int8))
        packed[1].append(pack_columns(bias[columns], order))
        packed[2].append(pack_columns(multipliers[columns].astype(np.float32), order))
    return PackedWeights(*(np.concatenate(pieces) for pieces in packed))
