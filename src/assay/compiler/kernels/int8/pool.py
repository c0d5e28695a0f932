"""Maximum and average pooling of stored tensors, input and output of one quantization; NHWC.

An average divides the sum over the part of the window on the image by the size of that part and
rounds half away from zero, as TFLite's kernel does, on the model's own integers: int8 or uint8. If
a padding came before, the window is all on the padded image.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from tvm import tirx

from assay.compiler.kernels.builder import Buffer, Expr, broadcast, constant, maximum, minimum
from assay.compiler.kernels.int8.builder import IntegerKernelBuilder
from assay.compiler.kernels.int8.stored import (
    SIGN_FLIP,
    StoredRange,
    from_bytes,
    split_lanes,
    to_bytes,
)
from assay.compiler.kernels.int8.sums import SumTile
from assay.compiler.kernels.int8.vectors import cast
from assay.compiler.kernels.panels import PanelRun, split_columns
from assay.compiler.kernels.pool import Pool2d
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

MOST_PIXELS = 32768  # sums and divisors up to here divide exactly in float32
PANEL_VECTORS = {"max": 8, "average": 2}  # of bytes; sums take four registers each


@dataclass(frozen=True)
class QuantizedPool2d:
    """Pooling of uint8 (stored) images; ``signed`` says that the model's own integers are int8.

    ``geometry`` is the float problem's, without epilogue, its border a stored value. ``low``
    and ``high`` are what a fused activation lets through. Kernel parameters, in order: input,
    output.
    """

    geometry: Pool2d
    signed: bool
    low: int = 0
    high: int = 255

    def __post_init__(self) -> None:
        if self.geometry.epilogue.steps or not 0 <= (self.geometry.border or 0) <= 255:
            raise ValueError(f"quantized pooling takes no epilogue, and a byte as border: {self}")


def applicable(problem: QuantizedPool2d) -> bool:
    """Tell whether activations are NHWC, and the window small enough for exact division."""
    p = problem.geometry
    return p.layout == "NHWC" and p.kernel_h * p.kernel_w <= MOST_PIXELS


def generate(problem: QuantizedPool2d, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`QuantizedPool2d` says."""
    b, p = IntegerKernelBuilder(), problem.geometry
    source = b.parameter("input", p.input_shape, "uint8")
    output = b.parameter("output", p.epilogue.stored_shape(p.output_shape), "uint8")
    tasks = task_count(isa, parallel, p.flops, prod(p.input_shape) + prod(p.output_shape))
    _PoolWriter(b, problem, isa, source, output).write(tasks)
    return b.function(name)


@dataclass(frozen=True)
class _PoolWriter:
    b: IntegerKernelBuilder
    problem: QuantizedPool2d
    isa: Isa
    source: Buffer
    output: Buffer

    def write(self, tasks: int) -> None:
        b, p = self.b, self.problem.geometry
        loop = b.parallel if tasks > 1 else b.serial
        with loop(p.batch * p.out_h) as index:
            image, row = b.let(index // p.out_h), b.let(index % p.out_h)
            rows = p.rows.taps(b, row)
            with b.serial(p.out_w) as column:
                columns = p.columns.taps(b, column)
                pixel = b.let((image * p.out_h + row) * p.out_w + column)
                most = PANEL_VECTORS[p.kind]
                for run in split_columns(p.channels, self.isa.lanes(8), most):
                    with b.serial(run.count) as panel:
                        channel = b.let(run.start + panel * run.packed_columns)
                        first = (row * p.stride_h - p.pad_top, column * p.stride_w - p.pad_left)
                        taps = b.let(rows[1] * columns[1])
                        tile = self._start(run, taps)
                        self._window(tile, run, image, first, rows, columns, channel)
                        target = b.let(p.epilogue.placement(p.output_shape).place(pixel, channel))
                        self._store(tile, run, target, taps)

    def _start(self, run: PanelRun, taps: Expr) -> SumTile:
        """Begin a window of which ``taps`` are on the image."""
        p = self.problem.geometry
        if p.kind == "max":
            tile = SumTile(self.b, 1, run.widths, "uint8")
            if p.border is not None:
                leaves = tirx.LT(taps, p.kernel_h * p.kernel_w)
                border, none = (constant(value, 1, "uint8") for value in (p.border, 0))
                first = self.b.let(tirx.Select(leaves, border, none))
                tile.fill([broadcast(first, width) for width in tile.widths])
                return tile
        else:
            lanes = [lane for width in run.widths for lane in self._lanes(width)]
            tile = SumTile(self.b, 1, tuple(lanes))
        tile.fill([constant(0, width, tile.dtype) for width in tile.widths])
        return tile

    def _lanes(self, width: int) -> list[int]:
        count, lanes = split_lanes(self.isa, width)
        return [lanes] * count

    def _window(
        self,
        tile: SumTile,
        run: PanelRun,
        image: Expr,
        first: tuple[Expr, Expr],
        rows: tuple[Expr, Expr],
        columns: tuple[Expr, Expr],
        channel: Expr,
    ) -> None:
        b, p = self.b, self.problem.geometry
        with b.serial(rows[1], carry=tile) as i:
            image_row = first[0] + (rows[0] + i) * p.dilation_h
            line = b.let((image * p.in_h + image_row) * p.in_w + first[1])
            with b.serial(columns[1], carry=tile) as j:
                pixel = line + (columns[0] + j) * p.dilation_w
                start = b.let(pixel * p.channels + channel)
                place = 0
                for offset, width in run.vectors:
                    value = b.let(b.load(self.source, start + offset, width))
                    place = self._take(tile, place, value, width)

    def _take(self, tile: SumTile, place: int, value: Expr, width: int) -> int:
        """Combine a vector of bytes with the tile from ``place`` on, and return where it ends."""
        if self.problem.geometry.kind == "max":
            tile.put(0, place, maximum(tile.get(0, place), value))
            return place + 1
        for vector in from_bytes(self.b, self.isa, value, *split_lanes(self.isa, width)):
            tile.put(0, place, tile.get(0, place) + vector)
            place += 1
        return place

    def _store(self, tile: SumTile, run: PanelRun, target: Expr, taps: Expr) -> None:
        b, problem = self.b, self.problem
        place = 0
        for offset, width in run.vectors:
            if problem.geometry.kind == "max":
                low, high = (constant(n, width, "uint8") for n in (problem.low, problem.high))
                value = minimum(maximum(tile.get(0, place), low), high)
                place += 1
            else:
                lanes = self._lanes(width)
                sums = [tile.get(0, place + index) for index in range(len(lanes))]
                value = self._average(sums, lanes[0], taps)
                place += len(lanes)
            b.store(self.output, target + offset, value, width)

    def _average(self, sums: list[Expr], lanes: int, taps: Expr) -> Expr:
        p = self.problem.geometry
        if p.border is None:
            divisor = self.b.let(repeated(maximum(taps, 1), lanes))
        else:
            window = p.kernel_h * p.kernel_w
            divisor = repeated(window, lanes)
            beside = self.b.let(repeated((window - taps) * int(p.border), lanes))
            sums = [total + beside for total in sums]
        return averages(self.b, self.isa, self.problem, sums, lanes, divisor)


def averages(
    b: IntegerKernelBuilder,
    isa: Isa,
    problem: QuantizedPool2d,
    sums: list[Expr],
    lanes: int,
    divisor: Expr,
) -> Expr:
    """Return the bytes of sums of stored values that are of ``divisor`` pixels, a vector too."""
    zero = SIGN_FLIP if problem.signed else 0
    half = b.let(divisor >> constant(1, lanes, "int32"))
    shift = b.let(divisor * constant(zero, lanes, "int32"))
    real = b.let(cast("float32", divisor, lanes))
    quotients = []
    for total in sums:
        own = b.let(total - shift)
        above = own + half
        if problem.signed:
            above = tirx.Select(own > constant(0, lanes, "int32"), above, own - half)
        quotient = cast("int32", cast("float32", above, lanes) / real, lanes)
        quotients.append(cast("float32", quotient, lanes))
    target = StoredRange(zero, problem.low, problem.high)
    return to_bytes(b, isa, quotients, lanes, target, fit=True)


def repeated(value: Expr, lanes: int) -> Expr:
    """Return an int32 in all lanes."""
    if isinstance(value, int):
        return constant(value, lanes, "int32")
    return broadcast(value, lanes)
