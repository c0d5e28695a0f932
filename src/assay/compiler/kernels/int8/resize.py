"""RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR of stored images, NHWC, quantization unchanged.

Source positions are computed as in TFLite's reference kernels and packed as tables: in float32 for
nearest, in integers of 1/1024 for bilinear. A bilinear result is the exact weighted sum, in steps
of 2**-20, rounded half away from zero on the model's own integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from assay.compiler.kernels.builder import Buffer, Expr, broadcast, constant
from assay.compiler.kernels.int8.builder import IntegerKernelBuilder
from assay.compiler.kernels.int8.loops import for_each_run
from assay.compiler.kernels.int8.stored import SIGN_FLIP
from assay.compiler.kernels.int8.vectors import cast
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

BITS = 10
"""Bits of a bilinear weight, which counts in 1/1024."""

_ONE = 1 << BITS
_FIELDS = 3  # of a table's entry: lower source, upper source, weight of the upper in 1/1024


@dataclass(frozen=True)
class QuantizedResize:
    """Resizing of uint8 (stored) images; ``signed`` says that the model's own integers are int8.

    Kernel parameters, in order: input, table of rows and table of columns (int32
    [size, 3]: lower source, upper source, weight of the upper), output.
    """

    kind: Literal["nearest", "bilinear"]
    batch: int
    in_h: int
    in_w: int
    channels: int
    out_h: int
    out_w: int
    signed: bool
    align_corners: bool = False
    half_pixel_centers: bool = False


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
    scale = (_ONE * span + steps // 2) // steps
    position = np.arange(out_size, dtype=np.int64) * scale
    if p.half_pixel_centers:
        position += scale // 2 - _ONE // 2
    lower = np.clip(position // _ONE, 0, in_size - 1)
    upper = np.clip((position + _ONE - 1) // _ONE, 0, in_size - 1)
    weight = np.where(upper > lower, position - _ONE * lower, 0)
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
    loop = b.parallel if tasks > 1 else b.serial
    with loop(p.batch * p.out_h) as line:
        image, row = line // p.out_h, b.let(line % p.out_h)
        lower, upper, below = _entry(b, rows, row)
        lines = [b.let((image * p.in_h + at) * p.in_w) for at in (lower, upper)]
        with b.serial(p.out_w) as column:
            left, right, beside = _entry(b, columns, column)
            corners = [b.let((at + to) * p.channels) for at in lines for to in (left, right)]
            target = b.let((line * p.out_w + column) * p.channels)
            _pixel(b, isa, p, (source, output), corners, (below, beside), target)
    return b.function(name)


def _entry(b: IntegerKernelBuilder, table: Buffer, index: Expr) -> list[Expr]:
    return [b.let(b.load(table, index * _FIELDS + field)) for field in range(_FIELDS)]


def _pixel(
    b: IntegerKernelBuilder,
    isa: Isa,
    p: QuantizedResize,
    buffers: tuple[Buffer, Buffer],
    corners: list[Expr],
    weights: tuple[Expr, Expr],
    target: Expr,
) -> None:
    """Write all channels of an output pixel from the four at ``corners``."""
    source, output = buffers
    if p.kind == "nearest":

        def vector(first: Expr, lanes: int) -> None:
            b.store(output, target + first, b.load(source, corners[0] + first, lanes), lanes)

        for_each_run(b, p.channels, isa.lanes(8), vector)
        return

    def blend(first: Expr, lanes: int) -> None:
        shift = constant(SIGN_FLIP if p.signed else 0, lanes, "int32")
        pixels = [
            b.let(cast("int32", b.load(source, corner + first, lanes), lanes) - shift)
            for corner in corners
        ]
        below, beside = (broadcast(weight, lanes) for weight in weights)
        upper = _mixed(b, pixels[0], pixels[1], beside, lanes)
        lower = _mixed(b, pixels[2], pixels[3], beside, lanes)
        total = _mixed(b, upper, lower, below, lanes)
        half, zero = (constant(n, lanes, "int32") for n in (1 << (2 * BITS - 1), 0))
        bits = constant(2 * BITS, lanes, "int32")
        value = (total + half) >> bits
        if p.signed:
            value = tirx.Select(total > zero, value, zero - ((half - total) >> bits))
        b.store(output, target + first, cast("uint8", value + shift, lanes), lanes)

    for_each_run(b, p.channels, isa.lanes(), blend)


def _mixed(b: IntegerKernelBuilder, first: Expr, second: Expr, weight: Expr, lanes: int) -> Expr:
    rest = constant(_ONE, lanes, "int32") - weight
    return b.let(first * rest + second * weight)
