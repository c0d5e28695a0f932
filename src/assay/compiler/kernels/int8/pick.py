"""Rows and columns of stored images picked by number: nearest-neighbour resizing, mirrored borders.

Bytes of one pixel are copied together; where they are few, vectors of a row are shuffles of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.compiler.kernels.builder import Buffer, Expr
from assay.compiler.kernels.int8.builder import IntegerKernelBuilder
from assay.compiler.kernels.int8.loops import for_each_run
from assay.compiler.kernels.nchw.gather import gather
from assay.compiler.kernels.splits import column_vectors
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

_FEW_CHANNELS = 16  # of which vectors would be mostly empty
_LONGEST = 2048  # elements of a row whose every vector has code of its own


@dataclass(frozen=True)
class QuantizedPick:
    """Images [batch, rows, columns, channels] made of the numbered rows and columns of others.

    Kernel parameters, in order: input uint8 [batch, in_h, in_w, channels], rows and columns as
    int32, output.
    """

    batch: int
    in_h: int
    in_w: int
    channels: int
    rows: tuple[int, ...]
    columns: tuple[int, ...]

    def __post_init__(self) -> None:
        for numbers, size in ((self.rows, self.in_h), (self.columns, self.in_w)):
            if not all(0 <= number < size for number in numbers):
                raise ValueError(f"rows and columns to pick are not in the image: {self}")

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        """Shape of the output, NHWC."""
        return self.batch, len(self.rows), len(self.columns), self.channels


def applicable(problem: QuantizedPick) -> bool:
    """Tell whether the kernel fits: if there is anything to do."""
    return prod(problem.output_shape) > 0


def pack(problem: QuantizedPick, isa: Isa) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the tables of rows and of columns."""
    return np.array(problem.rows, np.int32), np.array(problem.columns, np.int32)


def generate(problem: QuantizedPick, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`QuantizedPick` says."""
    b, p = IntegerKernelBuilder(), problem
    source = b.parameter("input", (p.batch, p.in_h, p.in_w, p.channels), "uint8")
    rows = b.parameter("rows", (len(p.rows),), "int32")
    columns = b.parameter("columns", (len(p.columns),), "int32")
    output = b.parameter("output", p.output_shape, "uint8")
    size = prod(p.output_shape)
    row_size = len(p.columns) * p.channels
    with (b.parallel if task_count(isa, parallel, size, 2 * size) > 1 else b.serial)(
        p.batch * len(p.rows)
    ) as line:
        image, row = line // len(p.rows), line % len(p.rows)
        start = b.let((image * p.in_h + b.load(rows, row)) * (p.in_w * p.channels))
        target = b.let(line * row_size)
        if p.columns == tuple(range(p.in_w)):
            _copy(b, isa, source, start, output, target, row_size)
        elif p.channels <= _FEW_CHANNELS and row_size <= _LONGEST:
            _shuffled(b, isa, p, source, start, output, target)
        else:
            with b.serial(len(p.columns)) as column:
                pixel = b.let(start + b.load(columns, column) * p.channels)
                _copy(
                    b, isa, source, pixel, output, b.let(target + column * p.channels), p.channels
                )
    return b.function(name)


def _copy(
    b: IntegerKernelBuilder,
    isa: Isa,
    source: Buffer,
    start: Expr,
    output: Buffer,
    target: Expr,
    size: int,
) -> None:
    """Copy elements that follow each other."""

    def vector(first: Expr, lanes: int) -> None:
        b.store(output, target + first, b.load(source, start + first, lanes), lanes)

    for_each_run(b, size, isa.lanes(8), vector)


def _shuffled(
    b: IntegerKernelBuilder,
    isa: Isa,
    p: QuantizedPick,
    source: Buffer,
    start: Expr,
    output: Buffer,
    target: Expr,
) -> None:
    """Write a row, each vector of which is made of known elements of another."""
    for first, lanes in column_vectors(len(p.columns) * p.channels, isa.lanes(8)):
        made = [divmod(first + lane, p.channels) for lane in range(lanes)]
        places = [p.columns[column] * p.channels + channel for column, channel in made]
        b.store(output, target + first, gather(b, source, start, places, 0, "uint8"), lanes)
