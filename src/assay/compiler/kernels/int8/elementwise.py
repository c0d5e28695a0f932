"""Standalone ADD, SUB, MUL and PRELU of quantized tensors, and changes of quantization.

All real factors are scales divided by the output's scale, in float32; products and sums are each
rounded to float32, and what comes out is stored as :class:`StoredRange` says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tvm import tirx

from assay.compiler.kernels.builder import Buffer, Expr, broadcast, constant, maximum, minimum
from assay.compiler.kernels.int8.builder import IntegerKernelBuilder
from assay.compiler.kernels.int8.loops import for_each_vector
from assay.compiler.kernels.int8.stored import (
    BYTES,
    INT32,
    StoredRange,
    from_bytes,
    split_lanes,
    to_bytes,
)
from assay.compiler.kernels.int8.vectors import cast, rounded
from assay.compiler.target import Isa


@dataclass(frozen=True)
class Operand:
    """A tensor that broadcasts to the output."""

    shape: tuple[int, ...]
    zero_point: int


@dataclass(frozen=True)
class QuantizedAdd:
    """``left_factor * (left - zero point) + right_factor * (right - zero point)``.

    SUB is a negative ``right_factor``; SQUARED_DIFFERENCE is that ``squared``, its factors scales
    over the root of the output's. Kernel parameters, in order: left, right, output.
    """

    shape: tuple[int, ...]
    left: Operand
    left_factor: float
    right: Operand
    right_factor: float
    output: StoredRange
    squared: bool = False


@dataclass(frozen=True)
class QuantizedMultiply:
    """``factor * ((left - zero point) * (right - zero point))``; the inner product is exact.

    Kernel parameters, in order: left, right, output.
    """

    shape: tuple[int, ...]
    left: Operand
    right: Operand
    factor: float
    output: StoredRange


@dataclass(frozen=True)
class QuantizedPrelu:
    """``factor * (left - zero point)``, or ``slope_factor`` times a product where not above 0.

    That is ``(left - zero point) * (right - zero point)``, and exact.

    Kernel parameters, in order: left, right (the slopes), output.
    """

    shape: tuple[int, ...]
    left: Operand
    factor: float
    right: Operand
    slope_factor: float
    output: StoredRange


@dataclass(frozen=True)
class Requantize:
    """``factor * (input - zero point)``: another quantization, and the clamp of a RELU or clip.

    Kernel parameters, in order: input, output.
    """

    input: Operand
    factor: float
    output: StoredRange


Problem = QuantizedAdd | QuantizedMultiply | QuantizedPrelu | Requantize


def applicable(problem: Problem) -> bool:
    """Tell whether the kernel fits: always."""
    return True


def generate(problem: Problem, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as the problem says."""
    b = IntegerKernelBuilder()
    if isinstance(problem, Requantize):
        shape, operands = problem.input.shape, [problem.input]
    else:
        shape, operands = problem.shape, [problem.left, problem.right]
    sources = [
        b.parameter(f"operand{index}", operand.shape, "uint8")
        for index, operand in enumerate(operands)
    ]
    output = b.parameter("output", shape, "uint8")
    shapes = [*(operand.shape for operand in operands), shape]

    def vector(offsets: list[Expr], steps: tuple[int, ...], lanes: int) -> None:
        values = [
            _load(b, source, offset, step, lanes)
            for source, offset, step in zip(sources, offsets, steps, strict=False)
        ]
        b.store(output, offsets[-1], compute(b, isa, problem, values, lanes), lanes)

    for_each_vector(b, isa, 4 * isa.lanes(), shapes, parallel, vector)
    return b.function(name)


def compute(
    b: IntegerKernelBuilder, isa: Isa, problem: Problem, values: list[Expr], width: int
) -> Expr:
    """Return the output's bytes for vectors of the operands' bytes."""
    if isinstance(problem, Requantize):
        return requantized(b, isa, problem, values[0], width)
    count, lanes = split_lanes(isa, width)
    left, right = (
        [vector - constant(operand.zero_point, lanes, "int32") for vector in vectors]
        for operand, vectors in (
            (problem.left, from_bytes(b, isa, values[0], count, lanes)),
            (problem.right, from_bytes(b, isa, values[1], count, lanes)),
        )
    )
    if isinstance(problem, QuantizedMultiply):
        factor = constant(problem.factor, lanes)
        reals = [_product(x, y, lanes) * factor for x, y in zip(left, right, strict=True)]
        fit = BYTES**2 * abs(problem.factor) < INT32
        return to_bytes(b, isa, reals, lanes, problem.output, fit)
    if isinstance(problem, QuantizedPrelu):
        factors = [constant(each, lanes) for each in (problem.factor, problem.slope_factor)]
        reals = [
            tirx.Select(
                x > constant(0, lanes, "int32"),
                cast("float32", x, lanes) * factors[0],
                _product(x, y, lanes) * factors[1],
            )
            for x, y in zip(left, right, strict=True)
        ]
        largest = max(BYTES * abs(problem.factor), BYTES**2 * abs(problem.slope_factor))
        return to_bytes(b, isa, reals, lanes, problem.output, largest < INT32)
    reals = []
    for x, y in zip(left, right, strict=True):
        first = cast("float32", x, lanes) * constant(problem.left_factor, lanes)
        second = cast("float32", y, lanes) * constant(problem.right_factor, lanes)
        total = b.let(rounded(first, lanes) + rounded(second, lanes))
        reals.append(b.let(total * total) if problem.squared else total)
    largest = BYTES * (abs(problem.left_factor) + abs(problem.right_factor))
    fit = (largest**2 if problem.squared else largest) < INT32
    return to_bytes(b, isa, reals, lanes, problem.output, fit)


def requantized(
    b: IntegerKernelBuilder, isa: Isa, problem: Requantize, value: Expr, width: int
) -> Expr:
    """Return bytes in another quantization."""
    target, zero_point = problem.output, problem.input.zero_point
    if problem.factor == 1.0 and zero_point == target.zero_point:
        low, high = (constant(limit, width, "uint8") for limit in (target.low, target.high))
        return b.let(minimum(maximum(value, low), high))
    count, lanes = split_lanes(isa, width)
    zero, factor = constant(zero_point, lanes, "int32"), constant(problem.factor, lanes)
    reals = [
        cast("float32", vector - zero, lanes) * factor
        for vector in from_bytes(b, isa, value, count, lanes)
    ]
    return to_bytes(b, isa, reals, lanes, target, BYTES * abs(problem.factor) < INT32)


def _product(left: Expr, right: Expr, lanes: int) -> Expr:
    """Multiply integers below 2**12 as floats: exact, and quick on every CPU."""
    return cast("float32", left, lanes) * cast("float32", right, lanes)


def _load(b: IntegerKernelBuilder, source: Buffer, offset: Expr, step: int, lanes: int) -> Expr:
    if step == 0 and lanes > 1:
        return b.let(broadcast(b.load(source, offset), lanes))
    return b.let(b.load(source, offset, lanes))
