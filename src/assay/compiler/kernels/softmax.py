"""Softmax along any axis, float32, in three passes over each row while it is in cache.

Vectors lie along the last axis; if that is not the one summed over, they are as many rows. The
maximum is subtracted first, so that nothing overflows: e**(x - max) / sum(e**(x - max)).
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

from assay.compiler.kernels import vector_math
from assay.compiler.kernels.builder import (
    Buffer,
    Expr,
    KernelBuilder,
    broadcast,
    constant,
    fold_lanes,
    maximum,
    minimum,
)
from assay.compiler.kernels.splits import disjoint_vectors
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

LOWEST = -3.4028234663852886e38
_AT_ONCE = 16  # vectors of rows that a thread takes
FLOPS_PER_ELEMENT = 24  # of which e**x is 18; only to judge whether threads are worth it


@dataclass(frozen=True)
class Softmax:
    """Softmax of ``beta * x`` along an axis. Kernel parameters: input, output."""

    shape: tuple[int, ...]
    beta: float = 1.0
    axis: int = -1


def applicable(problem: Softmax) -> bool:
    """Tell whether the kernel fits: always."""
    return True


def generate(problem: Softmax, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`Softmax` says."""
    b = KernelBuilder()
    source = b.parameter("input", problem.shape)
    output = b.parameter("output", problem.shape)
    elements = prod(problem.shape)
    tasks = task_count(isa, parallel, elements * FLOPS_PER_ELEMENT, 8 * elements)
    loop = b.parallel if tasks > 1 else b.serial
    axis = problem.axis % len(problem.shape)
    columns, inner = problem.shape[axis], prod(problem.shape[axis + 1 :])
    if inner == 1:
        with loop(elements // columns) as row:
            writer = _RowWriter(b, isa.lanes(), columns, b.let(row * columns))
            writer.write(source, output, problem.beta)
        return b.function(name)
    outer = elements // (columns * inner)
    for start, count, lanes in disjoint_vectors(inner, isa.lanes()):
        parts = -(-count // _AT_ONCE)
        with loop(outer * parts) as part:
            space = b.workspace("exponentials", columns * lanes)
            first = b.let(part // parts * (columns * inner) + start)
            done = b.let(part % parts * _AT_ONCE)
            with b.serial(minimum(count - done, _AT_ONCE)) as index:
                rows = _RowsWriter(b, lanes, columns, inner, b.let(first + (done + index) * lanes))
                rows.write(source, output, space, problem.beta)
    return b.function(name)


@dataclass(frozen=True)
class _RowsWriter:
    """Writes ``lanes`` neighbouring rows, whose elements are ``step`` apart.

    Exponentials are kept in memory side by side: planes of images often lie so far apart that all
    of a row's elements compete for the same lines of the nearest cache.
    """

    b: KernelBuilder
    lanes: int
    columns: int
    step: int
    start: Expr

    def write(self, source: Buffer, output: Buffer, space: Buffer, beta: float) -> None:
        b, lanes = self.b, self.lanes

        def place(column: Expr) -> Expr:
            return self.start + column * self.step

        largest = self._reduce(lambda i: b.load(source, place(i), lanes), LOWEST, maximum)

        def exponential(column: Expr) -> Expr:
            shifted = b.load(source, place(column), lanes) - largest
            value = b.let(vector_math.exp(b, shifted * constant(beta, lanes), lanes))
            b.store(space, column * lanes, value, lanes)
            return value

        total = self._reduce(exponential, 0.0, operator.add)
        factor = b.let(constant(1.0, lanes) / total)
        with b.serial(self.columns) as column:
            value = b.load(space, column * lanes, lanes) * factor
            b.store(output, place(column), value, lanes)

    def _reduce(
        self,
        value_at: Callable[[Expr], Expr],
        neutral: float,
        combine: Callable[[Expr, Expr], Expr],
    ) -> Expr:
        """Combine all columns to one vector; each is asked for once."""
        b = self.b
        tile = b.registers(1, [self.lanes])
        tile.fill([constant(neutral, self.lanes)])
        with b.serial(self.columns, carry=tile) as column:
            tile.put(0, 0, combine(tile.get(0, 0), value_at(column)))
        return tile.get(0, 0)


@dataclass(frozen=True)
class _RowWriter:
    b: KernelBuilder
    lanes: int
    columns: int
    start: Expr

    def write(self, source: Buffer, output: Buffer, beta: float) -> None:
        b = self.b
        largest = self._reduce(lambda offset, lanes: b.load(source, offset, lanes), LOWEST, maximum)

        def exponential(offset: Expr, lanes: int) -> Expr:
            shifted = b.load(source, offset, lanes) - broadcast(largest, lanes)
            value = vector_math.exp(b, shifted * constant(beta, lanes), lanes)
            b.store(output, offset, value, lanes)
            return value

        total = self._reduce(exponential, 0.0, operator.add)
        factor = b.let(constant(1.0) / total)
        for first, count, lanes in disjoint_vectors(self.columns, self.lanes):
            with b.serial(count) as index:
                offset = b.let(self.start + first + index * lanes)
                value = b.load(output, offset, lanes) * broadcast(factor, lanes)
                b.store(output, offset, value, lanes)

    def _reduce(
        self,
        value_at: Callable[[Expr, int], Expr],
        neutral: float,
        combine: Callable[[Expr, Expr], Expr],
    ) -> Expr:
        """Combine the values of a row to one scalar; each vector is asked for once."""
        b = self.b
        result: Expr = constant(neutral)
        for first, count, lanes in disjoint_vectors(self.columns, self.lanes):
            tile = b.registers(1, [lanes])
            tile.fill([constant(neutral, lanes)])
            with b.serial(count, carry=tile) as index:
                offset = b.let(self.start + first + index * lanes)
                tile.put(0, 0, combine(tile.get(0, 0), value_at(offset, lanes)))
            result = b.let(combine(result, fold_lanes(b, tile.get(0, 0), lanes, combine)))
        return result
