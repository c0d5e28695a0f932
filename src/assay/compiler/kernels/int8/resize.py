"""RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR of stored images, NHWC, quantization unchanged.

Source positions are computed as in TFLite's reference kernels and packed as tables: in float32 for
nearest, in integers of 1/1024 for bilinear.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.compiler.kernels.builder import Buffer, Expr
from assay.compiler.kernels.int8.bilinear import BITS, ONE, BilinearLine, QuantizedResize, unrolled
from assay.compiler.kernels.int8.builder import IntegerKernelBuilder
from assay.compiler.kernels.int8.loops import for_each_run
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

__all__ = ["BITS", "QuantizedResize", "applicable", "generate", "pack", "tables"]

_FIELDS = 3  # of a table's entry: lower source, upper source, weight of the upper


def applicable(problem: QuantizedResize) -> bool:
    """Tell whether the kernel fits: always."""
    return True


def pack(problem: QuantizedResize, isa: Isa) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the tables of rows and of columns."""
    return tables(problem)


def tables(problem: QuantizedResize) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return where rows and columns come from, as the kernel's parameters say."""
    p = problem
    sources = _nearest if p.kind == "nearest" else _neighbours
    return sources(p, p.in_h, p.out_h), sources(p, p.in_w, p.out_w)


def _nearest(p: QuantizedResize, in_size: int, out_size: int) -> NDArray[np.int32]:
    one = np.float32(1)
    scale = np.float32(in_size) / np.float32(out_size)
    if p.align_corners and out_size > 1:
        scale = np.float32(in_size - 1) / np.float32(out_size - 1)
    offset = one / 2 if p.half_pixel_centers else np.float32(0)
    position = (np.arange(out_size, dtype=np.float32) + offset) * scale
    if p.align_corners:  # half away from zero, of numbers that are not negative
        position = position + one / 2
    source = np.clip(np.floor(position), 0, in_size - 1)
    return np.stack([source, source, np.zeros(out_size)], axis=1).astype(np.int32)


def _neighbours(p: QuantizedResize, in_size: int, out_size: int) -> NDArray[np.int32]:
    span, steps = in_size, out_size
    if p.align_corners and out_size > 1:
        span, steps = in_size - 1, out_size - 1
    scale = (ONE * span + steps // 2) // steps
    position = np.arange(out_size, dtype=np.int64) * scale
    if p.half_pixel_centers:
        position += scale // 2 - ONE // 2
    lower = np.clip(position // ONE, 0, in_size - 1)
    upper = np.clip((position + ONE - 1) // ONE, 0, in_size - 1)
    weight = np.where(upper > lower, position - ONE * lower, 0)
    return np.stack([lower, upper, weight], axis=1).astype(np.int32)


def generate(problem: QuantizedResize, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`QuantizedResize` says."""
    b, p = IntegerKernelBuilder(), problem
    source = b.parameter("input", (p.batch, p.in_h, p.in_w, p.channels), "uint8")
    rows = b.parameter("rows", (p.out_h, _FIELDS), "int32")
    columns = b.parameter("columns", (p.out_w, _FIELDS), "int32")
    shape = (p.batch, p.out_h, p.out_w, p.channels)
    output = b.parameter("output", shape, "uint8")
    work = (8 if p.kind == "bilinear" else 1) * prod(shape)
    tasks = task_count(isa, parallel, work, 2 * prod(shape))
    bilinear = BilinearLine(b, isa, p, source, output)
    loop = b.parallel if tasks > 1 else b.serial
    with loop(p.batch * p.out_h) as line:
        image, row = line // p.out_h, b.let(line % p.out_h)
        lower, upper, below = _entry(b, rows, row)
        lines = [b.let((image * p.in_h + at) * p.in_w * p.channels) for at in (lower, upper)]
        first = b.let(line * (p.out_w * p.channels))
        if p.kind == "bilinear" and unrolled(p):
            entries = tables(p)[1].tolist()
            bilinear.write_unrolled(lines, below, first, entries)
        elif p.kind == "bilinear":
            bilinear.write(lines, below, first, lambda column: _entry(b, columns, column))
        else:
            with b.serial(p.out_w) as column:
                nearest = b.let(lines[0] + b.load(columns, column * _FIELDS) * p.channels)
                _copy(b, isa, p, (source, output), nearest, b.let(first + column * p.channels))
    return b.function(name)


def _entry(b: IntegerKernelBuilder, table: Buffer, index: Expr) -> list[Expr]:
    return [b.let(b.load(table, index * _FIELDS + field)) for field in range(_FIELDS)]


def _copy(
    b: IntegerKernelBuilder,
    isa: Isa,
    p: QuantizedResize,
    buffers: tuple[Buffer, Buffer],
    pixel: Expr,
    target: Expr,
) -> None:
    """Copy all channels of a pixel."""
    source, output = buffers

    def vector(first: Expr, lanes: int) -> None:
        b.store(output, target + first, b.load(source, pixel + first, lanes), lanes)

    for_each_run(b, p.channels, isa.lanes(8), vector)
