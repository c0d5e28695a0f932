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
from math import prod
from typing import TYPE_CHECKING, Any

from assay.compiler.kernels.builder import Expr, KernelBuilder
from assay.compiler.kernels.epilogue_writer import EpilogueWriter
from assay.compiler.kernels.panels import pack_panels
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.tiles import PIPES
from assay.compiler.kernels.windows import Window
from assay.compiler.kernels.winograd_blocks import Plan, make_plan, multiply, parts
from assay.compiler.kernels.winograd_tiles import TileWriter
from assay.compiler.kernels.winograd_transforms import transform_weights
from assay.compiler.target import Isa

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Per tile and vector of channels, in and out; on Zen 5. NCHW transposes on the way: the ratio is
# Cascade Lake's.
TRANSFORM_CYCLES = {"NHWC": {2: 120, 4: 400}, "NCHW": {2: 130, 4: 600}}
MOVING_CYCLES = 6  # per vector that the direct kernel transposes in NCHW; on Cascade Lake
UNALIGNED = 1.25  # times as long take products of vectors in two cache lines
WEIGHT_BYTES_PER_CYCLE = 20  # weights are read once per inference, from an outer cache or memory
OUTER_BYTES_PER_CYCLE = 8  # at most, if they do not fit the second-level cache; on Cascade Lake
WORTHWHILE_GAIN = 1.2  # below that, not worth different last bits and larger weights


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
    with loop(plan.blocks.tiles) as index:
        data = b.workspace("data", plan.positions * plan.step(p.in_c))
        sums = b.workspace("sums", plan.positions * plan.step(p.out_c))
        for block in parts(b, plan.blocks, index):
            for writer, number, place in _each_tile(b, p, isa, plan, block):
                writer.read(number, place, source, data)
            multiply(b, p, plan, plan.shares_of(block[1]), data, weights, sums)
            for writer, number, place in _each_tile(b, p, isa, plan, block):
                writer.write(number, place, sums, epilogue, output)
    return b.function(name)


def _each_tile(
    b: KernelBuilder, p: Conv2d, isa: Isa, plan: Plan, block: tuple[Expr, int]
) -> Iterator[tuple[TileWriter, Expr, Expr]]:
    """Loop over the tiles of a block: yields what moves one, its number, and that in the block.

    Threads that share out the rows of a block take the same ones here as in :func:`multiply`.
    """
    first, size = block
    shares = plan.shares_of(size)
    loop = b.parallel if plan.sharing == "rows" else b.serial
    with loop(shares.tiles) as share:
        patch = b.workspace("patch", plan.positions * isa.lanes())
        steps = plan.step(p.in_c), plan.step(p.out_c)
        writer = TileWriter(b, p, plan.outputs, isa.lanes(), *steps, patch)
        for start, count in parts(b, shares, share):
            with b.serial(count) as turn:
                place = b.let(start + turn)
                yield writer, b.let(first + place), place


def _make_plan(p: Conv2d, isa: Isa, parallel: int) -> Plan:
    outputs = output_tile(p, isa)
    return make_plan(p, isa, parallel, outputs, _tile_count(p, outputs), 1)


def _tile_count(p: Conv2d, outputs: int) -> int:
    return p.batch * -(-p.out_h // outputs) * -(-p.out_w // outputs)


def _cycles(p: Conv2d, isa: Isa, outputs: int) -> float:
    """Estimate the cycles: products, the transforms, and reading the weights."""
    positions, tiles = (outputs + 2) ** 2, _tile_count(p, outputs)
    vectors_in, vectors_out = -(-p.in_c // isa.lanes()), -(-p.out_c // isa.lanes())
    products = positions * tiles * p.in_c * vectors_out / PIPES
    transforms = tiles * (vectors_in + vectors_out) / 2 * TRANSFORM_CYCLES[p.layout][outputs]
    return products + transforms + _reading_cycles(p, isa, positions)


def _reading_cycles(p: Conv2d, isa: Isa, positions: int) -> float:
    weight_bytes = 4 * positions * p.in_c * p.out_c
    rate = WEIGHT_BYTES_PER_CYCLE if weight_bytes <= isa.l2_bytes else OUTER_BYTES_PER_CYCLE
    return weight_bytes / rate


def _direct_cycles(p: Conv2d, isa: Isa) -> float:
    pixels, vectors = p.batch * p.out_h * p.out_w, -(-p.out_c // isa.lanes())
    on_image = share_on_image(p.rows, p.out_h) * share_on_image(p.columns, p.out_w)
    products = 9 * p.in_c * pixels * vectors / PIPES * on_image
    if p.layout == "NCHW":  # where another kernel has vectors of pixels
        products += MOVING_CYCLES * (prod(p.input_shape) + prod(p.output_shape)) / isa.lanes()
        by_pixels = 9 * p.in_c * p.out_c * -(-pixels // isa.lanes()) / PIPES
        products = min(products, UNALIGNED * by_pixels)
    return products + _reading_cycles(p, isa, 9)


def share_on_image(window: Window, outputs: int) -> float:
    """Return the share of taps, of all outputs along an axis, that are on the image."""
    taps = range(window.kernel)
    seen = sum(window.inside(output, tap) for output in range(outputs) for tap in taps)
    return seen / (window.kernel * outputs)
