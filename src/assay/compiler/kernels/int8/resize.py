"""RESIZE_BILINEAR of stored images, NHWC, quantization unchanged.

Source positions are computed as in TFLite's reference kernel, in integers of 1/1024.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.compiler.kernels.builder import Buffer, Expr
from assay.compiler.kernels.int8.bilinear import BilinearLine, unrolled
from assay.compiler.kernels.int8.builder import IntegerKernelBuilder
from assay.compiler.kernels.int8.mixing import QuantizedResize, mixings
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

_FIELDS = 3  # of a table's entry: lower source, upper source, weight of the upper
_FLOPS = 8  # of a mixture


def applicable(problem: QuantizedResize) -> bool:
    """Tell whether the kernel fits: always."""
    return True


def pack(problem: QuantizedResize, isa: Isa) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the tables of rows and of columns."""
    rows, columns = mixings(problem)
    return rows.table, columns.table


def generate(problem: QuantizedResize, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`QuantizedResize` says."""
    b, p = IntegerKernelBuilder(), problem
    source = b.parameter("input", (p.batch, p.in_h, p.in_w, p.channels), "uint8")
    rows = b.parameter("rows", (p.out_h, _FIELDS), "int32")
    columns = b.parameter("columns", (p.out_w, _FIELDS), "int32")
    shape = (p.batch, p.out_h, p.out_w, p.channels)
    output = b.parameter("output", shape, "uint8")
    tasks = task_count(isa, parallel, _FLOPS * prod(shape), 2 * prod(shape))
    bilinear = BilinearLine(b, isa, p, *mixings(p), source, output)
    loop = b.parallel if tasks > 1 else b.serial
    with loop(p.batch * p.out_h) as line:
        image, row = line // p.out_h, b.let(line % p.out_h)
        lower, upper, below = _entry(b, rows, row)
        lines = [b.let((image * p.in_h + at) * p.in_w * p.channels) for at in (lower, upper)]
        first = b.let(line * (p.out_w * p.channels))
        if unrolled(p):
            bilinear.write_unrolled(lines, below, first)
        else:
            bilinear.write(lines, below, first, lambda column: _entry(b, columns, column))
    return b.function(name)


def _entry(b: IntegerKernelBuilder, table: Buffer, index: Expr) -> list[Expr]:
    return [b.let(b.load(table, index * _FIELDS + field)) for field in range(_FIELDS)]
