"""Matrix products of two quantized tensors that are both computed, one for each batch item.

The right matrix takes the place of weights: while the kernel runs, its bytes less 128 are packed
panel by panel as :func:`pack_product` packs constants, and the sums of its columns make the bias
that accounts for the left zero point. Operands are views, as those of the float kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.compiler.kernels import batch_matmul
from assay.compiler.kernels.batch_matmul import BatchMatmul
from assay.compiler.kernels.builder import Expr, KernelBuilder
from assay.compiler.kernels.int8.depth import Depth, depth_steps
from assay.compiler.kernels.int8.dot import Dot, choose_dot
from assay.compiler.kernels.int8.epilogue import OutputWriter
from assay.compiler.kernels.int8.matrix_tiles import TILE_BYTES, TileKernelBuilder
from assay.compiler.kernels.int8.panels import pack_columns, packed_order
from assay.compiler.kernels.int8.plan import Grid, Placement
from assay.compiler.kernels.int8.problem import QuantizedBatchMatmul
from assay.compiler.kernels.int8.product import Constants, Product
from assay.compiler.kernels.int8.product_kernel import write_loops
from assay.compiler.kernels.int8.right import RightPanels
from assay.compiler.kernels.int8.tile_depth import TileDepth
from assay.compiler.kernels.int8.tile_plan import RATE, tile_cut
from assay.compiler.kernels.int8.views import ConvertedRows, InPlace, View
from assay.compiler.kernels.panels import packed_columns
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa


def applicable(problem: QuantizedBatchMatmul) -> bool:
    """Tell whether the kernel fits, as the float one does."""
    return batch_matmul.applicable(problem.geometry)


def pack(
    problem: QuantizedBatchMatmul,
    isa: Isa,
    bias: NDArray[np.int32],
    multipliers: NDArray[np.float32],
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Pack bias int32 and multipliers float32, both [columns]."""
    p, dot = problem.geometry, choose_dot(isa)
    product = Product(problem, _grid(p), _depth(p), _rows(p, dot, 0))
    cut = tile_cut(product.grid) if _tiles(product, isa) else product.vector_cut(isa, dot)
    order = packed_order(isa, product.grid.columns, cut.runs)
    return pack_columns(bias, order), pack_columns(multipliers.astype(np.float32), order)


def generate(problem: QuantizedBatchMatmul, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`QuantizedBatchMatmul` says."""
    b, p, dot = TileKernelBuilder(), problem.geometry, choose_dot(isa)
    product = Product(problem, _grid(p), _depth(p), _rows(p, dot, 0))
    tiles = _tiles(product, isa)
    rate = RATE if tiles else dot.taps if dot.fused else 1
    moved = prod(p.left.shape) + prod(p.right.shape) + prod(p.output_shape)
    tasks = task_count(isa, parallel, p.flops // rate, moved)
    items = prod(p.batch)
    by_item = items >= tasks > 1
    size, threads = p.rows * p.depth, 1 if by_item else parallel
    plan = product.tile_plan(isa, size, threads) if tiles else product.plan(isa, dot, size, threads)
    steps = tiles.run_time_steps() if tiles else depth_steps(p.depth, dot.taps)
    block_steps = tiles.block // dot.taps if tiles else 1
    columns = packed_columns(plan.runs)
    left = b.parameter("left", p.left.shape, "uint8")
    bias = b.parameter("bias", (columns,), "int32")
    multipliers = b.parameter("multipliers", (columns,))
    right = b.parameter("right", p.right.shape, "uint8")
    addend = b.parameter("addend", p.output_shape, "uint8") if problem.addition else None
    writer = OutputWriter(b, isa, problem, b.parameter("output", p.output_shape, "uint8"), addend)
    panels = RightPanels(b, isa, problem, dot, plan.runs, steps, right, bias, block_steps)
    with b.parallel(items) if by_item else b.serial(items) as item:
        weights, sums = panels.pack(_place(b, p, item, p.right.steps[:-2]))
        rows = _rows(p, dot, _place(b, p, item, p.left.steps[:-2]))
        placement = Placement(0, 0, p.row_steps[-1], _place(b, p, item, p.row_steps[:-1]))
        own = Product(problem, product.grid, product.depth, rows, placement)
        constants = Constants(weights, sums, multipliers)
        write_loops(b, own, dot, plan, left, constants, writer, tiles)
    return b.function(name)


def _tiles(product: Product, isa: Isa) -> TileDepth | None:
    """Return the depth as matrix tiles see it, or None if vectors are faster.

    Measured on Sapphire Rapids: tiles that are not full do not make up for the setting up of each
    batch item.
    """
    return product.tile_depth(isa) if product.depth.length >= TILE_BYTES else None


def _grid(p: BatchMatmul) -> Grid:
    return Grid(1, 1, p.rows, 1, p.columns)


def _depth(p: BatchMatmul) -> Depth:
    return Depth(1, 0, 1, 0, p.depth)


def _rows(p: BatchMatmul, dot: Dot, first: Expr) -> View:
    row_step, depth_step = p.left.steps[-2:]
    if dot.reads_stored and depth_step == 1 and p.depth >= dot.taps:
        return InPlace(0, 0, row_step, first)
    return ConvertedRows(dot, p.depth, row_step, depth_step, first)


def _place(b: KernelBuilder, p: BatchMatmul, item: Expr, steps: Sequence[int]) -> Expr:
    """Return how far a batch item moves a view."""
    place: Expr = 0
    inner = 1
    for size, step in zip(reversed(p.batch), reversed(steps), strict=True):
        if step and size > 1:
            place = place + b.let(item // inner % size) * step
        inner *= size
    return b.let(place)
