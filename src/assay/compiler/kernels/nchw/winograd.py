"""Winograd convolution in NCHW, 3x3 with stride 1: the algorithm of ``kernels/winograd.py``.

Weights, products and error bounds are the same as there; vectors of transformed data run over
channels. So the image is transposed on its way, in strips (``winograd_strips.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from assay.compiler.kernels import winograd
from assay.compiler.kernels.builder import Expr, KernelBuilder
from assay.compiler.kernels.nchw.epilogue_writer import PlaneEpilogueWriter
from assay.compiler.kernels.nchw.winograd_strips import Strips, StripWriter, cut
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.winograd_blocks import Plan, make_plan, multiply, parts
from assay.compiler.target import Isa

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def applicable(problem: Conv2d) -> bool:
    """Tell whether the window is 3x3, dense, and moves by single pixels, in NCHW."""
    return problem.layout == "NCHW" and winograd.fits(problem)


def worthwhile(problem: Conv2d, isa: Isa) -> bool:
    """Tell whether the estimate beats the direct kernel's by enough."""
    return winograd.worthwhile(problem, isa)


def pack(problem: Conv2d, isa: Isa, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Transform weights HWIO and pack each position's matrix into column panels, flat."""
    return winograd.pack_matrices(_make_plan(problem, isa, 1)[1], weights)


def generate(problem: Conv2d, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`Conv2d` says."""
    b = KernelBuilder()
    p = problem
    strips, plan = _make_plan(p, isa, parallel)
    source = b.parameter("input", p.input_shape)
    weights = b.parameter("weights", (plan.packed_size(p.in_c),))
    epilogue = PlaneEpilogueWriter(b, p.epilogue, p.output_shape)
    output = b.parameter("output", p.epilogue.stored_shape(p.output_shape))
    loop = b.parallel if plan.sharing == "blocks" else b.serial
    with loop(plan.blocks.tiles) as index:
        data = b.workspace("data", plan.positions * plan.step(p.in_c))
        sums = b.workspace("sums", plan.positions * plan.step(p.out_c))
        for block in parts(b, plan.blocks, index):
            for writer, number, place in _each_strip(b, p, isa, strips, plan, block):
                writer.read(number, place, source, data)
            multiply(b, p, plan, plan.shares_of(block[1]), data, weights, sums)
            for writer, number, place in _each_strip(b, p, isa, strips, plan, block):
                writer.write(number, place, sums, epilogue, output)
    return b.function(name)


def _each_strip(
    b: KernelBuilder, p: Conv2d, isa: Isa, strips: Strips, plan: Plan, block: tuple[Expr, int]
) -> Iterator[tuple[StripWriter, Expr, Expr]]:
    """Loop over a block's strips: yields what moves one, its number, its first tile in the block.

    Threads that share out the rows of a block take the same ones here as in :func:`multiply`.
    """
    first, size = block
    shares = plan.shares_of(size)
    loop = b.parallel if plan.sharing == "rows" else b.serial
    with loop(shares.tiles) as share:
        strip = b.workspace("strip", strips.inputs * strips.line * isa.lanes())
        patch = b.workspace("patch", strips.outputs * strips.inputs * isa.lanes())
        steps = plan.step(p.in_c), plan.step(p.out_c)
        writer = StripWriter(b, p, strips, isa.lanes(), *steps, strip, patch)
        for start, count in parts(b, shares, share):
            with b.serial(count) as turn:
                place = b.let(start + turn)
                yield writer, b.let(first + place), b.let(place * strips.size)


def _make_plan(p: Conv2d, isa: Isa, parallel: int) -> tuple[Strips, Plan]:
    outputs = winograd.output_tile(p, isa)
    strips = cut(p, isa, outputs)
    return strips, make_plan(p, isa, parallel, outputs, strips.count, strips.size)
