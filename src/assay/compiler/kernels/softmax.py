"""Softmax along the last axis, float32, in three passes over each row while it is in cache.

The maximum is subtracted first, so that nothing overflows: e**(x - max) / sum(e**(x - max)).
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
)
from assay.compiler.kernels.splits import disjoint_vectors
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

LOWEST = -3.4028234663852886e38
FLOPS_PER_ELEMENT = 24  # of which e**x is 18; only to judge whether threads are worth it


@dataclass(frozen=True)
class Softmax:
    """Softmax of ``beta * x`` along the last axis. Kernel parameters: input, output."""

    shape: tuple[int, ...]
    beta: float = 1.0


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
    columns = problem.shape[-1]
    with loop(elements // columns) as row:
        writer = _RowWriter(b, isa.lanes(), columns, b.let(row * columns))
        writer.write(source, output, problem.beta)
    return b.function(name)


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
