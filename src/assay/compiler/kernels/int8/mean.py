"""Mean over neighbouring axes of a stored tensor, such as height and width.

``sum(x - input zero point) * multiplier``, the sum exact in int32 and the product in float32;
``multiplier`` is the input's scale over the output's scale and the number of elements.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from assay.compiler.kernels.builder import Buffer, Expr, constant
from assay.compiler.kernels.int8.builder import IntegerKernelBuilder
from assay.compiler.kernels.int8.loops import for_each_run
from assay.compiler.kernels.int8.stored import StoredRange, from_bytes, split_lanes, to_bytes
from assay.compiler.kernels.int8.sums import SumTile
from assay.compiler.kernels.int8.vectors import cast, llvm
from assay.compiler.kernels.splits import disjoint_vectors
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa


@dataclass(frozen=True)
class QuantizedMean:
    """Mean over ``axes``, counted from the front. Kernel parameters, in order: input, output."""

    shape: tuple[int, ...]
    axes: tuple[int, ...]
    keep_axes: bool
    input_zero_point: int
    multiplier: float
    output: StoredRange

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the output: axes of the mean are 1 or gone."""
        kept = [1 if axis in self.axes else n for axis, n in enumerate(self.shape)]
        if self.keep_axes:
            return tuple(kept)
        return tuple(n for axis, n in enumerate(self.shape) if axis not in self.axes)

    @property
    def extents(self) -> tuple[int, int, int]:
        """Elements before, along and behind the axes of the mean."""
        first, last = min(self.axes), max(self.axes)
        shape = self.shape
        return prod(shape[:first]), prod(shape[first : last + 1]), prod(shape[last + 1 :])


def applicable(problem: QuantizedMean) -> bool:
    """Tell whether the axes are neighbours."""
    axes = sorted(problem.axes)
    return bool(axes) and axes == list(range(axes[0], axes[-1] + 1))


def generate(problem: QuantizedMean, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`QuantizedMean` says."""
    b = IntegerKernelBuilder()
    source = b.parameter("input", problem.shape, "uint8")
    output = b.parameter("output", problem.output_shape, "uint8")
    before, along, behind = problem.extents
    tasks = task_count(isa, parallel, prod(problem.shape), prod(problem.shape))
    loop = b.parallel if 1 < tasks <= before else b.serial
    with loop(before) as index:
        start = b.let(index * (along * behind))

        def vector(first: Expr, width: int) -> None:
            lanes = split_lanes(isa, width)
            sums = _sums(b, isa, source, b.let(start + first), (along, behind), lanes)
            _store(b, isa, problem, output, index * behind + first, sums, lanes)

        if behind == 1:
            total = _row_sum(b, isa, source, start, along)
            _store(b, isa, problem, output, index, [total], (1, 1))
        else:
            share = tasks > 1 and tasks > before
            for_each_run(b, behind, isa.lanes(8), vector, share=share)
    return b.function(name)


def _sums(
    b: IntegerKernelBuilder,
    isa: Isa,
    source: Buffer,
    start: Expr,
    extents: tuple[int, int],
    split: tuple[int, int],
) -> list[Expr]:
    """Sum vectors ``extents[1]`` apart, ``extents[0]`` times."""
    count, lanes = split
    tile = SumTile(b, 1, (lanes,) * count)
    tile.fill([constant(0, lanes, "int32")] * count)
    with b.serial(extents[0], carry=tile) as turn:
        value = b.load(source, start + turn * extents[1], count * lanes)
        for place, vector in enumerate(from_bytes(b, isa, value, count, lanes)):
            tile.put(0, place, tile.get(0, place) + vector)
    return [tile.get(0, place) for place in range(count)]


def _row_sum(b: IntegerKernelBuilder, isa: Isa, source: Buffer, start: Expr, size: int) -> Expr:
    """Sum elements that follow each other."""
    total: Expr = constant(0, 1, "int32")
    for first, turns, width in disjoint_vectors(size, isa.lanes(8)):
        split = split_lanes(isa, width)
        sums = _sums(b, isa, source, b.let(start + first), (turns, width), split)
        for vector in sums:
            total = total + _folded(vector, split[1])
    return b.let(total)


def _folded(vector: Expr, lanes: int) -> Expr:
    return vector if lanes == 1 else llvm("int32", 1, "llvm.vector.reduce.add", vector)


def _store(
    b: IntegerKernelBuilder,
    isa: Isa,
    problem: QuantizedMean,
    output: Buffer,
    offset: Expr,
    sums: list[Expr],
    split: tuple[int, int],
) -> None:
    count, lanes = split
    zeros = constant(problem.extents[1] * problem.input_zero_point, lanes, "int32")
    factor = constant(problem.multiplier, lanes)
    reals = [cast("float32", total - zeros, lanes) * factor for total in sums]
    b.store(output, offset, to_bytes(b, isa, reals, lanes, problem.output), count * lanes)
