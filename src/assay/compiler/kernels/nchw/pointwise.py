"""Convolution in NCHW that sees pixels in their order: 1x1, and n x 1 without stride or padding.

A product of weights and pixels. A register tile is a few output channels by a panel of pixels
(:mod:`pixel_panels`). Where planes are a multiple of a vector, pixels are read from them; elsewhere
most vectors would lie in two cache lines, and the panels of a block are copied first, one after the
other as [input channel][pixel]. Where a 1x1 window moves by several pixels or sees padding, what
bands of output lines see is gathered before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assay.compiler.kernels.builder import KernelBuilder
from assay.compiler.kernels.nchw.epilogue_writer import PlaneEpilogueWriter
from assay.compiler.kernels.nchw.pixel_blocks import BlockReader
from assay.compiler.kernels.nchw.pixel_panels import PixelRun
from assay.compiler.kernels.nchw.pixel_tiles import choose_pixel_tile, exceeds_near_cache
from assay.compiler.kernels.nchw.pointwise_writer import PointwiseWriter, scaled_weights
from assay.compiler.kernels.nchw.unrolled import UnrolledBand
from assay.compiler.kernels.panels import pack_tiles
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.splits import EvenSplit, split_evenly
from assay.compiler.kernels.tiles import steps_per_turn, steps_that_fit
from assay.compiler.kernels.work import (
    ACCEPTABLE_BALANCE,
    Sharing,
    balance,
    choose_sharing,
    task_count,
)
from assay.compiler.target import Isa

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# With AVX-512 LLVM spills sums of 8 x 3 vectors where a turn takes two steps, of 6 x 4 it does not.
_FEW_ROWS = 6


def applicable(problem: Conv2d) -> bool:
    """Tell whether each tap sees the outputs' pixels one after the other, or there is only one."""
    p = problem
    one_tap = p.kernel_h * p.kernel_w == 1
    return p.layout == "NCHW" and p.input_layout is None and (one_tap or _in_order(p))


def _in_order(p: Conv2d) -> bool:
    last = p.rows.source(p.out_h - 1, p.kernel_h - 1)
    steps = (p.kernel_w, p.stride_h, p.stride_w, p.pad_top, p.pad_left)
    return steps == (1, 1, 1, 0, 0) and p.out_w == p.in_w and last < p.in_h


def pack(problem: Conv2d, isa: Isa, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pack weights HWIO by tiles of output channels, each [input channel][tap][channel], flat."""
    import numpy as np

    p, plan = problem, make_plan(problem, isa, 1)
    matrix = weights.transpose(2, 0, 1, 3).reshape(plan.depth, p.groups, plan.channels)
    groups = [pack_tiles(matrix[:, group], plan.tiles) for group in range(p.groups)]
    return np.ascontiguousarray(np.concatenate(groups), dtype=np.float32)


def generate(problem: Conv2d, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`Conv2d` says."""
    b = KernelBuilder()
    p, plan = problem, make_plan(problem, isa, parallel)
    source = b.parameter("input", p.input_shape)
    weights = b.parameter("weights", (plan.depth * p.out_c,))
    gate = b.parameter("gate", p.gate_shape) if p.input_gate else None
    epilogue = PlaneEpilogueWriter(b, p.epilogue, p.output_shape)
    output = b.parameter("output", p.epilogue.stored_shape(p.output_shape))
    reader = BlockReader(b, isa.lanes(), plan, source, gate)
    gated = gate is not None and not plan.copies
    if gated:
        weights = scaled_weights(b, plan, isa.lanes(), weights, gate)
    PointwiseWriter(b, isa.lanes(), plan, reader, weights, gated, epilogue, output).write()
    return b.function(name)


@dataclass(frozen=True)
class Plan:
    """A product cut up: blocks of ``block`` panels, and tiles of channels that pass by each.

    What bands of the output see is ``gathered`` first, unless an image is a single one and in
    order. A turn of the innermost loop takes ``steps`` of depth. ``copies`` says that panels of
    pixels are copied first. ``fetch_ahead`` asks for the pixels of later steps, ``fetch_pixels``
    for the next panel's, ``fetch_weights`` for the next tile's, and ``fetch_outputs`` for where
    results go.
    """

    p: Conv2d
    gathered: UnrolledBand | None
    runs: tuple[PixelRun, ...]
    tiles: EvenSplit
    block: int
    steps: int
    sharing: Sharing
    copies: bool
    fetch_ahead: bool
    fetch_pixels: bool
    fetch_weights: bool
    fetch_outputs: bool

    @property
    def bands(self) -> int:
        """Bands of each image; the last may overlap the one before."""
        return -(-self.p.out_h // self.gathered.lines) if self.gathered else 1

    @property
    def panels(self) -> int:
        """Panels of each band."""
        return sum(run.count for run in self.runs)

    @property
    def blocks(self) -> int:
        """Blocks of each band."""
        return -(-self.panels // self.block)

    @property
    def channels(self) -> int:
        """Output channels of a group."""
        return self.p.out_c // self.p.groups

    @property
    def inputs(self) -> int:
        """Input channels of a group."""
        return self.p.in_c // self.p.groups

    @property
    def depth(self) -> int:
        """Products of one output."""
        return self.inputs * self.p.kernel_h


def make_plan(problem: Conv2d, isa: Isa, parallel: int) -> Plan:
    """Choose tiles, blocks, what the threads share out, and what is asked for ahead of use."""
    p = problem
    channels, depth = p.out_c // p.groups, p.in_c // p.groups * p.kernel_h
    pixels = p.out_h * p.out_w
    in_order, images = _in_order(p), p.batch * p.groups
    input_bytes = 4 * p.batch * p.in_c * (p.in_h * p.in_w if in_order else pixels)
    weight_bytes, output_bytes = 4 * depth * p.out_c, 4 * p.batch * pixels * p.out_c
    tasks = task_count(isa, parallel, p.flops, input_bytes + weight_bytes + output_bytes)
    # Packed weights depend on the tile, which therefore may not depend on the number of threads.
    tile = choose_pixel_tile(isa, channels, pixels, depth)
    tiles = split_evenly(channels, tile.rows)
    panels = sum(run.count for run in tile.runs(isa, pixels))
    sharing = choose_sharing(tasks, images * panels, tiles.tiles, input_bytes, weight_bytes)
    balanced = balance(tiles.tiles, tasks) >= ACCEPTABLE_BALANCE
    if sharing == "rows" and depth < channels and input_bytes <= isa.l2_bytes // 2 and balanced:
        sharing = "panels"  # each thread fills whole planes, one after the other
    per_image = -(-tasks // images) if sharing == "rows" else 1
    gathered = None
    if not in_order:
        elements = isa.l2_bytes // 2 // (4 * depth)
        gathered = UnrolledBand.within(p.rows, p.columns, elements, -(-p.out_h // per_image))
        pixels = gathered.size
        tile = choose_pixel_tile(isa, channels, pixels, depth, tile.rows)
    runs = tile.runs(isa, pixels)
    panels, widest = sum(run.count for run in runs), max(run.pixels for run in runs)

    # Either many pixels meet one tile of weights after the other, and results fill stretches of few
    # planes; or few pixels, which stay in the nearest cache if they fit, meet all weights.
    copies = pixels % isa.lanes() > 0 and tiles.tiles > 1
    long = exceeds_near_cache(isa, depth, widest) if copies else channels > depth
    most = (isa.l2_bytes if long else isa.l1_bytes) // 2 // (4 * depth * widest)
    if sharing == "rows" and in_order:
        most = min(most, -(-panels // per_image))
    block = -(-panels // -(-panels // max(1, most)))
    steps = 1
    if p.kernel_h == 1 and tile.rows <= _FEW_ROWS:
        steps = steps_that_fit(steps_per_turn(isa, tile.rows), depth)
    near = input_bytes <= isa.l1_bytes or not in_order
    return Plan(
        *(p, gathered, runs, tiles, block, steps, sharing, copies),
        fetch_ahead=exceeds_near_cache(isa, depth, block * widest),
        fetch_pixels=not long and not copies and not near,
        fetch_weights=long and weight_bytes > isa.l1_bytes and (copies or not p.input_gate),
        fetch_outputs=output_bytes > isa.l1_bytes // 2,
    )
