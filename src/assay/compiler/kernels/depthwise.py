"""Depthwise convolution: each channel by itself, vectors of channels, any window.

A register tile is a few output columns, and two rows where registers allow, of one vector of
channels: inputs are loaded once for all outputs of the tile that use them. Columns at the image's
edge have tiles of their own, with only the taps that exist; rows at the edge loop over theirs.
A channel multiplier first repeats the input's channels in a workspace.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tvm import tirx

from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, beside, broadcast, within
from assay.compiler.kernels.depthwise_rows import (
    MOST_UNROLLED_COLUMNS,
    ChannelVector,
    DepthwiseRows,
    Lines,
)
from assay.compiler.kernels.epilogue_writer import EpilogueWriter
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.splits import column_vectors
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FEWEST_COLUMNS = 6  # with fewer, a second row saves less than the loads at the tile's sides cost
MOST_COLUMNS = 8  # outputs per row of a tile: more would save few loads for longer edge code


def applicable(problem: Conv2d) -> bool:
    """Tell whether each group has one input channel; a single channel is no depthwise case."""
    return problem.groups == problem.in_c > 1 and not problem.input_gate


def pack(problem: Conv2d, isa: Isa, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Flatten weights [kernel_h, kernel_w, 1, out_c]: that is the order in which they are used."""
    return weights.reshape(-1)


def generate(problem: Conv2d, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`Conv2d` says."""
    b = KernelBuilder()
    p = problem
    source = b.parameter("input", p.input_shape)
    weights = b.parameter("weights", (p.kernel_h * p.kernel_w * p.out_c,))
    epilogue = EpilogueWriter(b, p.epilogue, p.output_shape)
    output = b.parameter("output", p.epilogue.stored_shape(p.output_shape))
    pixels = p.batch * (p.in_h * p.in_w + p.out_h * p.out_w)
    moved = 4 * pixels * p.out_c
    tasks = task_count(isa, parallel, p.flops, moved)
    if p.out_c != p.in_c:
        source = _repeated_channels(b, p, isa, source)
    lines = Lines(source, p.out_c, lambda batch, row: (batch * p.in_h + row) * (p.in_w * p.out_c))
    _, columns = tile_size(p, isa)
    fetch = moved > isa.l2_bytes
    share_tiles = tasks > 1 and p.batch * p.out_h == 1
    rows = DepthwiseRows(b, p, columns, lines, weights, epilogue, output, fetch, share_tiles)
    _write_rows(rows, isa, tasks)
    return b.function(name)


def _repeated_channels(b: KernelBuilder, p: Conv2d, isa: Isa, source: Buffer) -> Buffer:
    multiplier = p.out_c // p.in_c
    repeated = b.workspace("repeated", p.batch * p.in_h * p.in_w * p.out_c)
    with b.serial(p.batch * p.in_h * p.in_w * p.in_c) as index:
        value = b.let(b.load(source, index))
        for start, lanes in column_vectors(multiplier, isa.lanes()):
            b.store(repeated, index * multiplier + start, broadcast(value, lanes), lanes)
    return repeated


def tile_size(p: Conv2d, isa: Isa) -> tuple[int, int]:
    """Return the rows and columns of outputs in a tile.

    Sums, the weights of one window row per tile row, an input and a product share the registers.
    """
    if p.kernel_w > MOST_UNROLLED_COLUMNS:
        return 1, 1
    free = isa.registers - 1 - (not isa.fma)
    two_rows = (free - 2 * p.kernel_w) // 2
    if p.stride_h < p.kernel_h and p.dilation_h == 1 and two_rows >= FEWEST_COLUMNS:
        return 2, min(MOST_COLUMNS, two_rows)
    return 1, max(2, min(MOST_COLUMNS, free - p.kernel_w))


def _write_rows(rows: DepthwiseRows, isa: Isa, tasks: int) -> None:
    """Deal out rows from top to bottom: tiles of complete rows, and single ones at the edges."""
    b, p = rows.b, rows.p

    def channels(write: Callable[[ChannelVector], None]) -> None:
        with b.vectors(p.out_c, isa.lanes()) as (channel, lanes):
            write(ChannelVector(channel, channel, lanes))

    tile_rows, _ = tile_size(p, isa)
    complete = p.rows.complete_outputs()
    above, tiles = complete.start, len(complete) // tile_rows
    units = p.out_h - tiles * (tile_rows - 1)
    loop = b.parallel if tasks > 1 and not rows.share_tiles else b.serial
    with loop(p.batch * units) as index:
        batch, unit = b.let(index // units), b.let(index % units)
        with b.when(beside(unit - above, tiles)):
            below: Expr = tiles * (tile_rows - 1)  # what tiles hold beyond one row each
            if above and tiles:
                below = tirx.Select(unit < above, 0, below)
            rows.any_row(batch, b.let(unit + below), channels)
        with b.when(within(unit - above, 0, tiles)):
            row = b.let(above + (unit - above) * tile_rows)
            rows.complete_rows(batch, row, tile_rows, channels)
