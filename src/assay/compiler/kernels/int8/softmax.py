"""Softmax along the last axis of a stored tensor, by a table of exponentials as in TFLite's kernel.

With d the largest stored value of a row less an element, ``table[d] = e**(-d * scale * beta)``, and
the element's result is ``table[d] * (1 / (sum * output scale))``. The sum runs from the first
element to the last; every operation is rounded to float32.

An addition has to wait for the one before, so that some rows are summed side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.compiler.kernels.builder import Buffer, Expr, broadcast, constant, maximum, minimum
from assay.compiler.kernels.int8.builder import IntegerKernelBuilder
from assay.compiler.kernels.int8.loops import for_each_run
from assay.compiler.kernels.int8.stored import StoredRange, to_bytes
from assay.compiler.kernels.int8.sums import SumTile
from assay.compiler.kernels.int8.vectors import cast, llvm
from assay.compiler.kernels.splits import floor_power_of_two, split_evenly
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

TABLE_SIZE = 256
FLOPS_PER_ELEMENT = 8  # only to judge whether threads are worth it
MOST_ROWS = 4  # an addition takes 3 or 4 cycles, its element's other instructions about one


@dataclass(frozen=True)
class QuantizedSoftmax:
    """Softmax of ``beta * x``. Kernel parameters, in order: input, table float32 [256], output.

    ``scale`` is the input's; its zero point does not matter.
    """

    shape: tuple[int, ...]
    scale: float
    output_scale: float
    output: StoredRange
    beta: float = 1.0


def applicable(problem: QuantizedSoftmax) -> bool:
    """Tell whether the kernel fits: always."""
    return True


def pack(problem: QuantizedSoftmax, isa: Isa) -> NDArray[np.float32]:
    """Return the table of exponentials, float32 [256]; the last one is of the largest element."""
    steps = np.arange(TABLE_SIZE - 1, -1, -1, dtype=np.float64)
    return np.exp(-steps * problem.scale * problem.beta).astype(np.float32)


def generate(problem: QuantizedSoftmax, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`QuantizedSoftmax` says."""
    b = IntegerKernelBuilder()
    source = b.parameter("input", problem.shape, "uint8")
    table = b.parameter("table", (TABLE_SIZE,))
    output = b.parameter("output", problem.shape, "uint8")
    elements, columns = prod(problem.shape), problem.shape[-1]
    tasks = task_count(isa, parallel, FLOPS_PER_ELEMENT * isa.lanes() * elements, 2 * elements)
    loop = b.parallel if tasks > 1 else b.serial
    rows = elements // columns
    split = split_evenly(rows, max(1, min(MOST_ROWS, isa.l1_bytes // 2 // (4 * columns))))
    count = -(-rows // split.tiles)
    with loop(split.tiles) as index:
        # The last rows may be some of those before again.
        start = b.let(minimum(index * count, rows - count) * columns)
        starts = [b.let(start + row * columns) for row in range(count)]
        # Where the table would begin if an element was its own index.
        firsts = [
            b.let(TABLE_SIZE - 1 - _largest(b, isa, source, each, columns)) for each in starts
        ]
        exponentials = b.workspace("exponentials", count * columns)
        totals = SumTile(b, count, (1,), "float32")
        totals.fill([constant(0.0)])
        with b.serial(columns, carry=totals) as column:
            for row, (own, first) in enumerate(zip(starts, firsts, strict=True)):
                stored = cast("int32", b.load(source, own + column), 1)
                value = b.let(b.load(table, first + stored))
                b.store(exponentials, row * columns + column, value)
                totals.put(row, 0, totals.get(row, 0) + value)
        for row in range(count):
            total = totals.get(row, 0)
            factor = b.let(constant(1.0) / (total * constant(problem.output_scale)))
            run = _Results(b, isa, problem, exponentials, output, row * columns, starts[row])
            for_each_run(b, columns, isa.lanes(), partial(run.write, factor))
    return b.function(name)


@dataclass(frozen=True)
class _Results:
    """Writes a row of results: where its exponentials and its results begin."""

    b: IntegerKernelBuilder
    isa: Isa
    problem: QuantizedSoftmax
    exponentials: Buffer
    output: Buffer
    source: int
    target: Expr

    def write(self, factor: Expr, first: Expr, lanes: int) -> None:
        """Write a vector from element ``first`` on."""
        b = self.b
        real = b.load(self.exponentials, self.source + first, lanes) * broadcast(factor, lanes)
        stored = to_bytes(b, self.isa, [real], lanes, self.problem.output)
        b.store(self.output, self.target + first, stored, lanes)


def _largest(b: IntegerKernelBuilder, isa: Isa, source: Buffer, start: Expr, size: int) -> Expr:
    """Return the largest byte of a row as an int32."""
    lanes = min(isa.lanes(8), floor_power_of_two(size))
    found = SumTile(b, 1, (lanes,), "uint8")
    found.fill([b.load(source, start + (size - lanes), lanes)])
    with b.serial(size // lanes, carry=found) as index:
        value = b.load(source, start + index * lanes, lanes)
        found.put(0, 0, maximum(found.get(0, 0), value))
    value = found.get(0, 0)
    if lanes > 1:
        value = llvm("uint8", 1, "llvm.vector.reduce.umax", value)
    return b.let(cast("int32", value, 1))
