"""Dense layers: a matrix product for several rows, a matrix-vector product for one.

With one row every weight is used once, so the kernel is as fast as weights can be streamed: packed
panels are read from one end to the other. Where there are too few columns to hide the latency of
the multiply-adds, even and odd inputs (or every third, fourth...) go to sums of their own.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, within
from assay.compiler.kernels.epilogue_writer import EpilogueWriter, Pixels
from assay.compiler.kernels.gemm import Product, Strips, column_runs, write_product
from assay.compiler.kernels.microkernel import add_outer_product
from assay.compiler.kernels.panels import (
    PanelRun,
    pack_panels,
    packed_columns,
    panel_count,
    split_columns,
)
from assay.compiler.kernels.problem import Dense
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PANEL_VECTORS = 4  # narrow enough to share out among threads, wide enough to read on at length
SUMS = 12  # independent sums: four cycles of latency, two multiply-adds per cycle, and some slack


def applicable(problem: Dense) -> bool:
    """Tell whether the kernel fits: always."""
    return True


def pack(problem: Dense, isa: Isa, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pack weights [in_features, out_features] into column panels, flat."""
    return pack_panels(weights, _runs(problem, isa))


def generate(problem: Dense, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`Dense` says."""
    if problem.rows > 1:
        return write_product(_product(problem), isa, name, parallel)
    b = KernelBuilder()
    p, runs = problem, _runs(problem, isa)
    size = p.in_features * packed_columns(runs)
    source = b.parameter("input", p.input_shape)
    weights = b.parameter("weights", (size,))
    epilogue = EpilogueWriter(b, p.epilogue, p.output_shape)
    output = b.parameter("output", p.epilogue.stored_shape(p.output_shape))
    loop = b.parallel if task_count(isa, parallel, p.flops, 4 * size) > 1 else b.serial
    with loop(panel_count(runs)) as panel:
        for run in runs:
            with b.when(within(panel, run.first, run.first + run.count)):
                _write_panel(b, p, run, panel - run.first, source, weights, epilogue, output)
    return b.function(name)


def _write_panel(
    b: KernelBuilder,
    p: Dense,
    run: PanelRun,
    panel: Expr,
    source: Buffer,
    weights: Buffer,
    epilogue: EpilogueWriter,
    output: Buffer,
) -> None:
    splits = max(1, min(SUMS // len(run.vectors), p.in_features))
    width = run.packed_columns
    packed = b.let((run.packed + panel * width) * p.in_features)
    column = b.let(run.start + panel * width)
    tile = b.registers(splits, run.widths)
    tile.clear()
    for index, (offset, lanes) in enumerate(run.vectors):
        tile.put(0, index, epilogue.start(column + offset, lanes))
    rest = p.in_features % splits

    def add(split: int, k: Expr) -> None:
        add_outer_product(b, tile, run, (weights, packed + k * width), (source, [(split, k)]))

    with b.serial(p.in_features // splits, carry=tile) as index:
        for split in range(splits):
            add(split, index * splits + split)
    for split in range(rest):
        add(split, p.in_features - rest + split)
    tile.combine_rows(operator.add)
    epilogue.write_tile(tile, output, Pixels(0, 1, 1), 0, column, run.vectors)


def _runs(problem: Dense, isa: Isa) -> tuple[PanelRun, ...]:
    if problem.rows > 1:
        return column_runs(isa, _product(problem))
    return split_columns(problem.out_features, isa.lanes(), PANEL_VECTORS)


def _product(problem: Dense) -> Product:
    p = problem
    batch = p.leading[0] if p.epilogue.per_batch else 1
    length = p.rows // batch
    strips = Strips(batch, 1, length, p.in_features, 0, length * p.in_features)
    return Product(
        p.input_shape, p.output_shape, strips, p.out_features, p.in_features, None, p.epilogue
    )
