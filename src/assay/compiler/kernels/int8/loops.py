"""Loops over tensors of bytes with NumPy's broadcasting, the innermost axis in vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from assay.compiler.kernels.builder import Expr, KernelBuilder, RegisterTile
from assay.compiler.kernels.elementwise import loop_axes
from assay.compiler.kernels.splits import ceil_power_of_two, floor_power_of_two
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

INSTRUCTIONS_PER_ELEMENT = 8  # of any element-wise kernel; only to judge if threads are worth it

Body = Callable[[list[Expr], tuple[int, ...], int], None]
"""Called with each tensor's offset, its step along the vector (0 if it repeats), and the lanes."""


def for_each_vector(
    b: KernelBuilder,
    isa: Isa,
    width: int,
    shapes: Sequence[Sequence[int]],
    parallel: int,
    body: Body,
    least: int = 1,
) -> None:
    """Loop over the last of ``shapes``, to which the others broadcast, by ``width`` lanes at most.

    The last vectors of an axis may overlap: what they compute for shared elements is the same.
    They have ``least`` lanes or more, which is no more than the axis has elements.
    """
    elements = prod(shapes[-1])
    flops = INSTRUCTIONS_PER_ELEMENT * elements
    tasks = task_count(isa, parallel, flops, sum(map(prod, shapes)))
    *outer, inner = loop_axes(shapes[-1], shapes)
    turns = prod(axis.size for axis in outer)
    share_outer = 1 < tasks <= turns
    loop = b.parallel if share_outer else b.serial
    with loop(turns) as index:
        starts: list[Expr] = [0] * len(shapes)
        rest = index
        for axis in reversed(outer):
            turn = rest % axis.size
            starts = [s + turn * step for s, step in zip(starts, axis.steps, strict=True)]
            rest = rest // axis.size
        starts = [b.let(start) for start in starts]

        def vector(first: Expr, lanes: int) -> None:
            offsets = [s + first * step for s, step in zip(starts, inner.steps, strict=True)]
            body([b.let(offset) for offset in offsets], inner.steps, lanes)

        for_each_run(b, inner.size, width, vector, least, tasks > 1 and not share_outer)


def for_each_run(
    b: KernelBuilder,
    size: int,
    width: int,
    body: Callable[[Expr, int], None],
    least: int = 1,
    share: bool = False,
    carry: RegisterTile | None = None,
) -> None:
    """Cover ``size`` elements that follow each other; ``body`` gets the first one and the lanes.

    Threads share the vectors if asked to; otherwise ``carry`` may change from vector to vector.
    """
    lanes = min(width, floor_power_of_two(size))
    turns = size // lanes
    with b.parallel(turns) if share else b.serial(turns, carry=carry) as index:
        body(b.let(index * lanes), lanes)
    if size % lanes:
        last = max(least, ceil_power_of_two(size % lanes))
        body(size - last, last)
