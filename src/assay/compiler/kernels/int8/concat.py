"""CONCATENATION and PAD of stored tensors, each input brought to the output's quantization."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from assay.compiler.kernels.builder import Buffer, Expr, constant
from assay.compiler.kernels.int8.builder import IntegerKernelBuilder
from assay.compiler.kernels.int8.elementwise import Operand, Requantize, requantized
from assay.compiler.kernels.int8.loops import for_each_run
from assay.compiler.kernels.int8.stored import StoredRange
from assay.compiler.kernels.move import Piece
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa


@dataclass(frozen=True)
class QuantizedConcat:
    """Tensors side by side along ``axis``; input i is stored as ``factors[i] * (x - zero point)``.

    Others write the inputs that are ``elsewhere``. Kernel parameters, in order: the other inputs,
    output.
    """

    inputs: tuple[Operand, ...]
    factors: tuple[float, ...]
    axis: int
    output: StoredRange
    elsewhere: frozenset[int] = frozenset()

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the output."""
        first, axis = self.inputs[0].shape, self.axis
        return (*first[:axis], sum(i.shape[axis] for i in self.inputs), *first[axis + 1 :])

    @property
    def moved(self) -> int:
        """Elements that are written."""
        kept = (x.shape for i, x in enumerate(self.inputs) if i not in self.elsewhere)
        return sum(map(prod, kept))

    def piece(self, index: int) -> Piece | None:
        """Return where an input goes, if its bytes stay what they are."""
        sizes = [prod(operand.shape[self.axis :]) for operand in self.inputs]
        open_range = (self.output.low, self.output.high) == (0, 255)
        alike = self.inputs[index].zero_point == self.output.zero_point
        if not open_range or not alike or self.factors[index] != 1.0:
            return None
        return Piece(sum(sizes[:index]), sizes[index], sum(sizes))

    def without(self, placed: Collection[int]) -> QuantizedConcat | None:
        """Return what is left to write if others write these inputs; None if nothing is."""
        elsewhere = self.elsewhere.union(placed)
        return replace(self, elsewhere=elsewhere) if len(elsewhere) < len(self.inputs) else None


@dataclass(frozen=True)
class QuantizedPad:
    """A tensor with ``before`` and ``after`` elements of stored value ``fill`` along each axis.

    Kernel parameters, in order: input, output.
    """

    input: Operand
    before: tuple[int, ...]
    after: tuple[int, ...]
    fill: int
    factor: float
    output: StoredRange

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the output."""
        sizes = zip(self.before, self.input.shape, self.after, strict=True)
        return tuple(map(sum, sizes))


Problem = QuantizedConcat | QuantizedPad


def applicable(problem: Problem) -> bool:
    """Tell whether the kernel fits: always."""
    return True


def generate(problem: Problem, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as the problem says."""
    b = IntegerKernelBuilder()
    if isinstance(problem, QuantizedPad):
        source = b.parameter("input", problem.input.shape, "uint8")
        output = b.parameter("output", problem.output_shape, "uint8")
        elements = prod(problem.output_shape)
        tasks = task_count(isa, parallel, 2 * elements, 2 * elements)
        _pad(b, isa, problem, source, output, tasks)
    else:
        _concat(b, isa, problem, parallel)
    return b.function(name)


def _concat(b: IntegerKernelBuilder, isa: Isa, problem: QuantizedConcat, parallel: int) -> None:
    sources = {
        index: b.parameter(f"input{index}", operand.shape, "uint8")
        for index, operand in enumerate(problem.inputs)
        if index not in problem.elsewhere
    }
    output = b.parameter("output", problem.output_shape, "uint8")
    tasks = task_count(isa, parallel, 2 * problem.moved, 2 * problem.moved)
    outer = prod(problem.output_shape[: problem.axis])
    line, start = prod(problem.output_shape) // outer, 0
    for index, (operand, factor) in enumerate(zip(problem.inputs, problem.factors, strict=True)):
        size = prod(operand.shape) // outer
        if index not in sources:
            start += size
            continue
        source = sources[index]
        stage = Requantize(operand, factor, problem.output)
        share_rows = 1 < tasks <= outer
        loop = b.parallel if share_rows else b.serial
        with loop(outer) as row:
            places = (b.let(row * size), b.let(row * line + start))
            share = tasks > 1 and not share_rows
            _row(b, isa, stage, (source, output), places, size, share)
        start += size


def _row(
    b: IntegerKernelBuilder,
    isa: Isa,
    stage: Requantize,
    buffers: tuple[Buffer, Buffer],
    places: tuple[Expr, Expr],
    size: int,
    share: bool = False,
) -> None:
    """Requantize ``size`` elements that follow each other from one buffer to the other."""

    def vector(first: Expr, lanes: int) -> None:
        value = b.let(b.load(buffers[0], places[0] + first, lanes))
        value = requantized(b, isa, stage, value, lanes)
        b.store(buffers[1], places[1] + first, value, lanes)

    for_each_run(b, size, isa.lanes(8), vector, share=share)


def _pad(
    b: IntegerKernelBuilder,
    isa: Isa,
    problem: QuantizedPad,
    source: Buffer,
    output: Buffer,
    tasks: int,
) -> None:
    """Fill everything, then place the input's rows: what lies behind the last padded axis."""

    def vector(first: Expr, lanes: int) -> None:
        b.store(output, first, constant(problem.fill, lanes, "uint8"), lanes)

    for_each_run(b, prod(problem.output_shape), isa.lanes(8), vector, share=tasks > 1)
    shape, wide = problem.input.shape, problem.output_shape
    padded = [axis for axis, n in enumerate(shape) if wide[axis] != n]
    last = padded[-1] if padded else 0
    size, rows = prod(shape[last:]), prod(shape[:last])
    loop = b.parallel if 1 < tasks <= rows else b.serial
    with loop(rows) as row:
        target: Expr = problem.before[last] * prod(wide[last + 1 :])
        rest = row
        for axis in reversed(range(last)):
            position = rest % shape[axis] + problem.before[axis]
            target = target + position * prod(wide[axis + 1 :])
            rest = rest // shape[axis]
        stage = Requantize(problem.input, problem.factor, problem.output)
        _row(b, isa, stage, (source, output), (b.let(row * size), b.let(target)), size)
