"""A 1x1 convolution and the depthwise convolution after it in one pass, row by row.

The expanded image of an inverted residual block is several times its input and, early in a network,
larger than the second-level cache. Here it never exists: for one panel of channels at a time, rows
are expanded into a ring that holds just what the next output row looks at. Threads take bands of
output rows, each with a ring of its own, and expand the rows between two bands twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

from tvm import tirx

from assay.compiler.kernels import depthwise, pointwise
from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, maximum, minimum
from assay.compiler.kernels.depthwise_rows import ChannelVector, DepthwiseRows, Lines
from assay.compiler.kernels.epilogue_writer import EpilogueWriter, Pixels
from assay.compiler.kernels.microkernel import add_outer_product
from assay.compiler.kernels.panels import PanelRun, pack_panels, packed_columns, split_columns
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.splits import split_evenly
from assay.compiler.kernels.tiles import RegisterTile, choose_tile
from assay.compiler.kernels.work import estimated_us, task_count
from assay.compiler.target import Isa

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OUTER_GB_PER_S = 20.0  # what one core moves to and from the caches that cores share
WORTHWHILE_SHARE = 0.4  # of the arithmetic's time; below it, the fused loops cost what they save


@dataclass(frozen=True)
class ExpandDepthwise:
    """``depthwise`` applied to the output of ``expand``.

    Kernel parameters, in order: input, packed weights of ``expand``, its epilogue operands, weights
    of ``depthwise`` (as its own ``pack`` returns them), its epilogue operands, output.
    """

    expand: Conv2d
    depthwise: Conv2d

    @property
    def flops(self) -> int:
        """Two for each multiply-add of both."""
        return self.expand.flops + self.depthwise.flops


def applicable(problem: ExpandDepthwise) -> bool:
    """Tell whether the two fit together, pixel by pixel and channel by channel."""
    first, second = problem.expand, problem.depthwise
    return (
        pointwise.applicable(first)
        and depthwise.applicable(second)
        and (first.stride_h, first.stride_w, first.input_gate) == (1, 1, False)
        and first.output_shape == second.input_shape
        and second.in_c == second.out_c
        and second.dilation_h == 1
    )


def worthwhile(problem: ExpandDepthwise, isa: Isa) -> bool:
    """Tell whether the expanded image outgrows the cache, and moving it costs as arithmetic does.

    Measured on Zen 5, data in cache: 4 to 14 % faster where this says yes, a tie where it says no
    because the arithmetic is slow (SSE2, AVX2).
    """
    expanded = 4 * prod(problem.expand.output_shape[1:])
    moving_us = 2 * problem.expand.batch * expanded / (OUTER_GB_PER_S * 1e3)
    compute_us = estimated_us(isa, problem.flops, 0)
    return expanded > isa.l2_bytes // 2 and moving_us > WORTHWHILE_SHARE * compute_us


def pack(problem: ExpandDepthwise, isa: Isa, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pack the weights of ``expand``, [1, 1, in_c, out_c], into column panels, flat."""
    p = problem.expand
    return pack_panels(weights.reshape(p.in_c, p.out_c), _plan(p, isa)[1])


def generate(problem: ExpandDepthwise, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`ExpandDepthwise` says."""
    b = KernelBuilder()
    first, second = problem.expand, problem.depthwise
    tile, runs = _plan(first, isa)
    source = b.parameter("input", first.input_shape)
    weights = b.parameter("weights", (first.in_c * packed_columns(runs),))
    expand_epilogue = EpilogueWriter(b, first.epilogue, first.output_shape, "expand")
    taps = b.parameter("depthwise_weights", (prod(second.weights_shape),))
    epilogue = EpilogueWriter(b, second.epilogue, second.output_shape)
    output = b.parameter("output", second.epilogue.stored_shape(second.output_shape))
    moved = 4 * (prod(first.input_shape) + prod(second.output_shape))
    tasks = task_count(isa, parallel, problem.flops, moved)
    bands = min(tasks, second.out_h)

    loop = b.parallel if tasks > 1 else b.serial
    with loop(second.batch * bands) as index:
        batch, band = b.let(index // bands), b.let(index % bands)
        rows = -(-second.out_h // bands)
        start = b.let(band * rows)
        stop = b.let(minimum(start + rows, second.out_h))
        size = second.kernel_h * first.out_w * max(run.packed_columns for run in runs)
        ring = b.workspace("ring", size)
        writer = _Expander(b, first, second.kernel_h, tile, source, weights, expand_epilogue, ring)
        for run in runs:
            lines = Lines(ring, run.packed_columns, writer.ring_line(run))
            _, columns = depthwise.tile_size(second, isa)
            rows_writer = DepthwiseRows(b, second, columns, lines, taps, epilogue, output)
            with b.serial(run.count) as panel:
                _band(b, second, writer, rows_writer, run, panel, batch, start, stop)
    return b.function(name)


def _band(
    b: KernelBuilder,
    p: Conv2d,
    expander: _Expander,
    rows: DepthwiseRows,
    run: PanelRun,
    panel: Expr,
    batch: Expr,
    start: Expr,
    stop: Expr,
) -> None:
    """Expand what each output row sees and the row before did not, then write the row."""
    column = b.let(run.start + panel * run.packed_columns)
    packed = b.let((run.packed + panel * run.packed_columns) * expander.p.in_c)

    def channels(write: Callable[[ChannelVector], None]) -> None:
        width = run.widths[0]
        whole = sum(vector == (q * width, width) for q, vector in enumerate(run.vectors))
        with b.serial(whole) as q:
            write(ChannelVector(b.let(column + q * width), b.let(q * width), width))
        for index in range(whole, len(run.vectors)):
            offset, lanes = run.vectors[index]
            write(ChannelVector(column + offset, run.packed_starts()[index], lanes))

    with b.serial(stop - start) as index:
        row = b.let(start + index)
        top = b.let(row * p.stride_h - p.pad_top)
        seen_before = top - p.stride_h + p.kernel_h
        fresh = tirx.Select(row > start, maximum(top, seen_before), top)
        first = b.let(minimum(maximum(fresh, 0), p.in_h))
        end = minimum(top + p.kernel_h, p.in_h)
        with b.serial(b.let(maximum(end - first, 0))) as new:
            expander.expand(run, batch, b.let(first + new), column, packed)
        rows.any_row(batch, row, channels)


@dataclass(frozen=True)
class _Expander:
    """Expands rows of the input of ``p`` into a ring of ``ring_rows``."""

    b: KernelBuilder
    p: Conv2d
    ring_rows: int
    tile: RegisterTile
    source: Buffer
    weights: Buffer
    epilogue: EpilogueWriter
    ring: Buffer

    def ring_line(self, run: PanelRun) -> Callable[[Expr, Expr], Expr]:
        """Return where the ring has an image row, as a function of batch item and row."""
        line = self.p.out_w * run.packed_columns
        return lambda batch, row: row % self.ring_rows * line

    def expand(self, run: PanelRun, batch: Expr, row: Expr, column: Expr, packed: Expr) -> None:
        """Expand one row for one panel of channels."""
        b, p = self.b, self.p
        image_row = b.let(batch * p.in_h + row)
        line = b.let(self.ring_line(run)(batch, row))
        for start, count, size in split_evenly(p.out_w, self.tile.rows).parts():
            with b.serial(count) as index:
                first = b.let(start + index * size)
                pixel = b.let(image_row * p.in_w + first)
                tile = b.registers(size, run.widths)
                self.epilogue.start_tile(tile, column, run.vectors)
                with b.serial(p.in_c, carry=tile) as k:
                    inputs = [(i, (pixel + i) * p.in_c + k) for i in range(size)]
                    weights = (self.weights, packed + k * run.packed_columns)
                    add_outer_product(b, tile, run, weights, (self.source, inputs))
                place = partial(self._ring_place, run, line, first)
                pixels = Pixels(pixel, 1, size)
                self.epilogue.write_tile(tile, self.ring, pixels, batch, column, run.vectors, place)

    def _ring_place(
        self, run: PanelRun, line: Expr, first: Expr, row: int, pixel: Expr, vector: int
    ) -> Expr:
        return line + (first + pixel) * run.packed_columns + run.packed_starts()[vector]


def _plan(p: Conv2d, isa: Isa) -> tuple[RegisterTile, tuple[PanelRun, ...]]:
    tile = choose_tile(isa, p.out_w, p.out_c, p.in_c)
    return tile, split_columns(p.out_c, isa.lanes(), tile.vectors)
