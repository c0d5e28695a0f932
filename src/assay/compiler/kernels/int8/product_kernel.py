"""Kernels of integer matrix products, on vectors or matrix tiles, whichever is faster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from assay.compiler.kernels.builder import Buffer
from assay.compiler.kernels.int8.dot import Dot, choose_dot
from assay.compiler.kernels.int8.epilogue import OutputWriter
from assay.compiler.kernels.int8.matrix_tiles import TileKernelBuilder
from assay.compiler.kernels.int8.plan import Plan
from assay.compiler.kernels.int8.product import Constants, Product
from assay.compiler.kernels.int8.product_writer import ProductWriter
from assay.compiler.kernels.int8.tile_depth import TileDepth
from assay.compiler.kernels.int8.tile_plan import TilePlan
from assay.compiler.kernels.int8.tile_writer import TileWriter
from assay.compiler.kernels.panels import packed_columns
from assay.compiler.target import Isa


def write_product(product: Product, isa: Isa, name: str, parallel: int) -> Any:
    """Return the PrimFunc; parameters as the problem says."""
    return write_products([product], isa, name, parallel)


def write_products(products: Sequence[Product], isa: Isa, name: str, parallel: int) -> Any:
    """Return the PrimFunc of products that share one problem's input and output.

    Their packed constants follow each other.
    """
    b = TileKernelBuilder()
    dot, p = choose_dot(isa), products[0].problem
    shape, output_shape = p.geometry.input_shape, p.geometry.output_shape
    moved = int(np.prod(shape))
    depths = [product.tile_depth(isa) for product in products]
    plans = [
        product.tile_plan(isa, moved, parallel)
        if tiles
        else product.plan(isa, dot, moved, parallel)
        for product, tiles in zip(products, depths, strict=True)
    ]
    columns = [plan.grid.groups * packed_columns(plan.runs) for plan in plans]
    steps = [
        tiles.steps if tiles else product.depth.steps(dot)
        for product, tiles in zip(products, depths, strict=True)
    ]
    sizes = [dot.taps * count * own for count, own in zip(steps, columns, strict=True)]
    source = b.parameter("input", shape, "uint8")
    weights = b.parameter("weights", (sum(sizes),), "int8")
    bias = b.parameter("bias", (sum(columns),), "int32")
    multipliers = b.parameter("multipliers", (sum(columns),))
    addend = b.parameter("addend", output_shape, "uint8") if p.addition else None
    output = b.parameter("output", p.geometry.epilogue.stored_shape(output_shape), "uint8")
    writer = OutputWriter(b, isa, p, output, addend)
    for index, (product, plan, tiles) in enumerate(zip(products, plans, depths, strict=True)):
        starts = sum(sizes[:index]), sum(columns[:index])
        constants = Constants(weights, bias, multipliers, *starts)
        write_loops(b, product, dot, plan, source, constants, writer, tiles)
    return b.function(name)


def write_loops(
    b: TileKernelBuilder,
    product: Product,
    dot: Dot,
    plan: Plan,
    source: Buffer,
    constants: Constants,
    output: OutputWriter,
    tiles: TileDepth | None,
) -> None:
    """Write the loops of a product, on matrix tiles if its depth is given as those see it."""
    if isinstance(plan, TilePlan) and tiles:
        TileWriter(b, product, dot, plan, source, constants, output, tiles).write()
    else:
        ProductWriter(b, product, dot, plan, source, constants, output).write()
