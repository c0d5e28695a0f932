"""Winograd convolution, 3x3 with stride 1: 2.25 or 4 times fewer multiplications.

The image is cut into tiles of m x m outputs, m = 2 or 4, which see (m + 2) x (m + 2) inputs. Input
tiles are transformed, multiplied position by position with transformed weights (one matrix product
[tiles, in_c] x [in_c, out_c] for each of the (m + 2)**2 positions) and transformed back; tiles go
through all of this in blocks that stay in the second-level cache. Packed weights are (m + 2)**2 / 9
times the size of the original.

Results differ from direct convolution by rounding. Relative to the root mean square of the sums,
the largest error on random data is below 1e-5 for m = 2, as for direct convolution, and below 3e-5
for m = 4, up to 512 input channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Literal

from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, minimum
from assay.compiler.kernels.epilogue_writer import LINE_FLOATS, EpilogueWriter
from assay.compiler.kernels.microkernel import add_outer_product
from assay.compiler.kernels.next_panel import next_panel
from assay.compiler.kernels.panels import PanelRun, pack_panels, packed_columns, split_columns
from assay.compiler.kernels.problem import Conv2d, Layout
from assay.compiler.kernels.splits import EvenSplit, split_evenly
from assay.compiler.kernels.tiles import PIPES, choose_tile, steps_per_turn, steps_that_fit
from assay.compiler.kernels.windows import Window
from assay.compiler.kernels.winograd_tiles import TileWriter
from assay.compiler.kernels.winograd_transforms import transform_weights
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Per tile and vector of channels, in and out; on Zen 5. NCHW transposes on the way.
TRANSFORM_CYCLES = {"NHWC": {2: 120, 4: 400}, "NCHW": {2: 200, 4: 700}}
MOVING_CYCLES = 6  # per vector that the direct kernel transposes in NCHW; on Cascade Lake
UNALIGNED = 1.25  # times as long take products of vectors in two cache lines
# Weights are read once per inference, from an outer cache or memory; by Winograd's method in NCHW
# by every block.
WEIGHT_BYTES_PER_CYCLE = {"NHWC": 20, "NCHW": 10}
OUTER_BYTES_PER_CYCLE = 8  # at most, if they do not fit the second-level cache; on Cascade Lake
WORTHWHILE_GAIN = 1.2  # below that, not worth different last bits and larger weights

_Sharing = Literal["nothing", "blocks", "rows"]


def applicable(problem: Conv2d) -> bool:
    """Tell whether the window is 3x3, dense, and moves by single pixels, in NHWC."""
    return problem.layout == "NHWC" and fits(problem)


def fits(problem: Conv2d) -> bool:
    """Tell whether the window is 3x3, dense, and moves by single pixels."""
    p = problem
    window = (p.kernel_h, p.kernel_w, p.stride_h, p.stride_w, p.dilation_h, p.dilation_w)
    return window == (3, 3, 1, 1, 1, 1) and p.groups == 1 and not p.input_gate


def worthwhile(problem: Conv2d, isa: Isa) -> bool:
    """Tell whether the estimate beats the direct kernel's by enough."""
    fastest = min(_cycles(problem, isa, outputs) for outputs in (2, 4))
    return WORTHWHILE_GAIN * fastest < _direct_cycles(problem, isa)


def output_tile(problem: Conv2d, isa: Isa) -> int:
    """Return m, the outputs along a tile's side: 2 or 4, whichever is estimated faster."""
    return min((4, 2), key=lambda outputs: _cycles(problem, isa, outputs))


def pack(problem: Conv2d, isa: Isa, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Transform weights HWIO and pack each position's matrix into column panels, flat."""
    return pack_matrices(_make_plan(problem, isa, 1), weights)


def pack_matrices(plan: Plan, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Transform weights HWIO and pack each position's matrix into the plan's panels, flat."""
    import numpy as np

    matrices = transform_weights(weights, plan.outputs)
    return np.concatenate([pack_panels(matrix, plan.runs) for matrix in matrices])


def generate(problem: Conv2d, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`Conv2d` says."""
    b = KernelBuilder()
    p = problem
    plan = _make_plan(p, isa, parallel)
    source = b.parameter("input", p.input_shape)
    weights = b.parameter("weights", (plan.packed_size(p.in_c),))
    epilogue = EpilogueWriter(b, p.epilogue, p.output_shape)
    output = b.parameter("output", p.epilogue.stored_shape(p.output_shape))
    loop = b.parallel if plan.sharing == "blocks" else b.serial
    with loop(-(-plan.tiles // plan.block)) as block:
        data = b.workspace("data", plan.positions * plan.step(p.in_c))
        sums = b.workspace("sums", plan.positions * plan.step(p.out_c))
        for writer, number, index in _each_tile(b, p, isa, plan, block):
            writer.read(number, index, source, data)
        multiply(b, p, plan, data, weights, sums)
        for writer, number, index in _each_tile(b, p, isa, plan, block):
            writer.write(number, index, sums, epilogue, output)
    return b.function(name)


def _each_tile(
    b: KernelBuilder, p: Conv2d, isa: Isa, plan: Plan, block: Expr
) -> Iterator[tuple[TileWriter, Expr, Expr]]:
    """Loop over the tiles of a block: yields what moves one, its number, and that in the block.

    Threads that share out the rows of a block take the same ones here as in :func:`multiply`.
    """
    shared = plan.sharing == "rows"
    for start, count, size in plan.rows.parts() if shared else ((0, 1, plan.block),):
        with b.parallel(count) if shared else b.serial(count) as part:
            patch = b.workspace("patch", plan.positions * isa.lanes())
            steps = plan.step(p.in_c), plan.step(p.out_c)
            writer = TileWriter(b, p, plan.outputs, isa.lanes(), *steps, patch)
            with b.serial(size) as turn:
                index = b.let(start + part * size + turn)
                number = b.let(minimum(block * plan.block + index, plan.tiles - 1))
                yield writer, number, index


@dataclass(frozen=True)
class Plan:
    """Outputs along a tile's side, tiles in all, tiles per block, panels, register tiles' rows.

    A turn of the innermost loop takes ``steps`` of depth, if they fit. Threads share
    out the blocks, or the rows of one block after the other.
    """

    outputs: int
    tiles: int
    block: int
    runs: tuple[PanelRun, ...]
    rows: EvenSplit
    steps: int
    sharing: _Sharing

    @property
    def positions(self) -> int:
        """Inputs, and products, of a tile."""
        return (self.outputs + 2) ** 2

    def packed_size(self, in_c: int) -> int:
        """Elements of the packed weights."""
        return self.positions * in_c * packed_columns(self.runs)

    def step(self, channels: int) -> int:
        """Return the elements from one position's ``block`` x ``channels`` to the next position's.

        An odd number of cache lines: powers of two would put all positions in one set of a cache.
        """
        lines = -(-self.block * channels // LINE_FLOATS)
        return (lines + 1 - lines % 2) * LINE_FLOATS


def _make_plan(p: Conv2d, isa: Isa, parallel: int) -> Plan:
    outputs = output_tile(p, isa)
    return make_plan(p, isa, parallel, outputs, _tile_count(p, outputs), 1, by_rows=True)


def make_plan(
    p: Conv2d,
    isa: Isa,
    parallel: int,
    outputs: int,
    strips: int,
    size: int,
    *,
    by_rows: bool = False,
) -> Plan:
    """Choose blocks of whole strips, each of ``size`` tiles, and panels and register tiles.

    ``by_rows`` allows threads to share out the rows of a block.
    """
    positions = (outputs + 2) ** 2
    strip_bytes = 4 * positions * (p.in_c + p.out_c) * size
    weight_bytes = 4 * positions * p.in_c * p.out_c
    # Each block reads all weights, so where they outgrow the cache, blocks may do so as well.
    block_bytes = max(isa.l2_bytes // 2, weight_bytes)
    blocks = -(-strips // max(1, block_bytes // strip_bytes))
    # The panels depend on the rows of a block, and packing must not depend on the threads.
    runs_tile = choose_tile(isa, -(-strips // blocks) * size, p.out_c, p.in_c)
    moved = 4 * (prod(p.input_shape) + prod(p.output_shape))
    tasks = min(task_count(isa, parallel, p.flops, moved), strips)
    # One thread goes through all blocks, and weights larger than the cache come from an outer one
    # each time: then there are no more blocks for the sake of threads.
    by_rows = by_rows and blocks < tasks and weight_bytes >= isa.l2_bytes
    if not by_rows:
        blocks = -(-blocks // tasks) * tasks
    block = -(-strips // blocks) * size
    runs = split_columns(p.out_c, isa.lanes(), runs_tile.vectors)
    rows = split_evenly(block, runs_tile.rows)
    if by_rows:
        rows = EvenSplit(block, min(block, -(-rows.tiles // tasks) * tasks))
    sharing: _Sharing = "nothing" if tasks == 1 else "rows" if by_rows else "blocks"
    steps = steps_per_turn(isa, runs_tile.rows)
    return Plan(outputs, strips * size, block, runs, rows, steps, sharing)


def multiply(
    b: KernelBuilder, p: Conv2d, plan: Plan, data: Buffer, weights: Buffer, sums: Buffer
) -> None:
    """Multiply the block's tiles with the weights, position by position."""
    depth, columns = p.in_c, packed_columns(plan.runs)
    data_step, sums_step = plan.step(p.in_c), plan.step(p.out_c)
    fetch, shared = plan.rows.tiles > 1, plan.sharing == "rows"
    steps = steps_that_fit(plan.steps, depth)

    def tile(
        run: PanelRun, position: Expr, panel: Expr, number: Expr, first: Expr, rows: int
    ) -> None:
        width = run.packed_columns
        source = b.let(position * data_step + first * depth)
        target = b.let(position * sums_step + first * p.out_c + run.start + panel * width)
        packed = b.let((position * columns + run.packed + panel * width) * depth)
        size, share = (depth, width), (number, plan.rows.tiles)
        ahead = next_panel(b, weights, packed, size, share) if fetch else None
        registers = b.registers(rows, run.widths)
        registers.clear()
        with b.serial(depth // steps, carry=registers) as turn:
            if ahead is not None:
                ahead.ask(b, turn * steps, steps)
            for k in range(steps):
                row = packed + (turn * (steps * width) + k * width)
                inputs = [(i, source + (turn * steps + (i * depth + k))) for i in range(rows)]
                add_outer_product(b, registers, run, (weights, row), (data, inputs))
        for i in range(rows):
            for q, (offset, lanes) in enumerate(run.vectors):
                place = target + i * p.out_c + offset
                b.store(sums, place, registers.get(i, q), lanes)

    with b.serial(plan.positions) as position:
        for run in plan.runs:
            with b.serial(run.count) as panel:
                before = 0
                for start, count, size in plan.rows.parts():
                    with b.parallel(count) if shared else b.serial(count) as index:
                        row = b.let(start + index * size)
                        tile(run, position, panel, before + index, row, size)
                    before += count


def _tile_count(p: Conv2d, outputs: int) -> int:
    return p.batch * -(-p.out_h // outputs) * -(-p.out_w // outputs)


def _cycles(p: Conv2d, isa: Isa, outputs: int) -> float:
    """Estimate the cycles: products, the transforms, and reading the weights."""
    positions, tiles = (outputs + 2) ** 2, _tile_count(p, outputs)
    vectors_in, vectors_out = -(-p.in_c // isa.lanes()), -(-p.out_c // isa.lanes())
    products = positions * tiles * p.in_c * vectors_out / PIPES
    transforms = tiles * (vectors_in + vectors_out) / 2 * TRANSFORM_CYCLES[p.layout][outputs]
    return products + transforms + _reading_cycles(p, isa, positions, p.layout)


def _reading_cycles(p: Conv2d, isa: Isa, positions: int, layout: Layout) -> float:
    weight_bytes, rate = 4 * positions * p.in_c * p.out_c, WEIGHT_BYTES_PER_CYCLE[layout]
    return weight_bytes / (rate if weight_bytes <= isa.l2_bytes else OUTER_BYTES_PER_CYCLE)


def _direct_cycles(p: Conv2d, isa: Isa) -> float:
    pixels, vectors = p.batch * p.out_h * p.out_w, -(-p.out_c // isa.lanes())
    on_image = share_on_image(p.rows, p.out_h) * share_on_image(p.columns, p.out_w)
    products = 9 * p.in_c * pixels * vectors / PIPES * on_image
    if p.layout == "NCHW":  # where another kernel has vectors of pixels
        products += MOVING_CYCLES * (prod(p.input_shape) + prod(p.output_shape)) / isa.lanes()
        by_pixels = 9 * p.in_c * p.out_c * -(-pixels // isa.lanes()) / PIPES
        products = min(products, UNALIGNED * by_pixels)
    return products + _reading_cycles(p, isa, 9, "NHWC")


def share_on_image(window: Window, outputs: int) -> float:
    """Return the share of taps, of all outputs along an axis, that are on the image."""
    taps = range(window.kernel)
    seen = sum(window.inside(output, tap) for output in range(outputs) for tap in taps)
    return seen / (window.kernel * outputs)
