"""Softmax along the last axis of a stored tensor, by a table of exponentials as in TFLite's kernel.

With d the largest stored value of a row less an element, ``table[d] = e**(-d * scale * beta)``, and
the element's result is ``table[d] * (1 / (sum * output scale))``. The sum runs from the first
element to the last; every operation is rounded to float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.compiler.kernels.builder import Buffer, Expr, broadcast, constant, maximum
from assay.compiler.kernels.int8.builder import IntegerKernelBuilder
from assay.compiler.kernels.int8.loops import for_each_run
from assay.compiler.kernels.int8.stored import StoredRange, to_bytes
from assay.compiler.kernels.int8.sums import SumTile
from assay.compiler.kernels.int8.vectors import cast, llvm
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

TABLE_SIZE = 256
FLOPS_PER_ELEMENT = 8  # only to judge whether threads are worth it


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
    """Return the table of exponentials, float32 [256]."""
    steps = np.arange(TABLE_SIZE, dtype=np.float64)
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
    with loop(elements // columns) as row:
        start = b.let(row * columns)
        largest = _largest(b, isa, source, start, columns)
        exponentials = b.workspace("exponentials", columns)
        total = SumTile(b, 1, (1,), "float32")
        total.fill([constant(0.0)])
        with b.serial(columns, carry=total) as column:
            distance = largest - cast("int32", b.load(source, start + column), 1)
            value = b.let(b.load(table, distance))
            b.store(exponentials, column, value)
            total.put(0, 0, total.get(0, 0) + value)
        factor = b.let(constant(1.0) / (total.get(0, 0) * constant(problem.output_scale)))

        def vector(first: Expr, lanes: int) -> None:
            real = b.load(exponentials, first, lanes) * broadcast(factor, lanes)
            stored = to_bytes(b, isa, [real], lanes, problem.output)
            b.store(output, start + first, stored, lanes)

        for_each_run(b, columns, isa.lanes(), vector)
    return b.function(name)


def _largest(b: IntegerKernelBuilder, isa: Isa, source: Buffer, start: Expr, size: int) -> Expr:
    """Return the largest byte of a row as an int32."""
    found = SumTile(b, 1, (1,), "int32")
    found.fill([constant(0, 1, "int32")])

    def vector(first: Expr, lanes: int) -> None:
        value = b.let(b.load(source, start + first, lanes))
        if lanes > 1:
            value = llvm("uint8", 1, "llvm.vector.reduce.umax", value)
        found.put(0, 0, maximum(found.get(0, 0), cast("int32", value, 1)))

    for_each_run(b, size, isa.lanes(8), vector, carry=found)
    return b.let(found.get(0, 0))
