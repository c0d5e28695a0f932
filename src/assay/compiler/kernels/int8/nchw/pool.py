"""Maximum and average pooling of stored tensors in NCHW, with any window and padding.

The rows that an output row sees become one row first, in vectors along it; what its columns see in
that is picked by shuffles. So a window takes as many steps as it has rows and columns, not pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from assay.compiler.kernels.builder import Buffer, Expr, constant, maximum, minimum
from assay.compiler.kernels.int8.builder import IntegerKernelBuilder
from assay.compiler.kernels.int8.pool import MOST_PIXELS, QuantizedPool2d, averages, repeated
from assay.compiler.kernels.int8.sums import SumTile
from assay.compiler.kernels.int8.vectors import cast, llvm, shuffle
from assay.compiler.kernels.nchw.gather import gather
from assay.compiler.kernels.nchw.unrolled import line_places, line_runs
from assay.compiler.kernels.panels import split_columns
from assay.compiler.kernels.splits import disjoint_vectors
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

_PANEL_VECTORS = 4  # results in flight
_MOST_TAPS = 257  # bytes whose sum fits 16 bits
_MOST_COLUMNS = 32  # of a window, for each of which every vector of a row has code
_MOST_COPIES = 1 << 10  # of that code


def applicable(problem: QuantizedPool2d) -> bool:
    """Tell whether activations are NCHW and every window, not too wide, sees some pixel.

    What is beside the image has to take no part.
    """
    p = problem.geometry
    if p.layout != "NCHW" or p.epilogue.inside is not None or p.border is not None:
        return False
    if p.covers_image:
        return p.kernel_h * p.kernel_w <= MOST_PIXELS
    copies = p.kernel_w * -(-p.out_w // 16)
    few = p.kernel_w <= _MOST_COLUMNS and copies <= _MOST_COPIES and p.kernel_h <= _MOST_TAPS
    return few and not (p.rows.some_see_nothing or p.columns.some_see_nothing)


def generate(problem: QuantizedPool2d, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`QuantizedPool2d` says."""
    b, p = IntegerKernelBuilder(), problem.geometry
    source = b.parameter("input", p.input_shape, "uint8")
    output = b.parameter("output", p.output_shape, "uint8")
    tasks = task_count(isa, parallel, p.flops, prod(p.input_shape) + prod(p.output_shape))
    writer = _Writer(b, isa, problem, source, output)
    with (b.parallel if tasks > 1 else b.serial)(p.batch * p.channels) as plane:
        if p.covers_image:
            writer.whole(plane)
        else:
            writer.windows(plane)
    return b.function(name)


@dataclass(frozen=True)
class _Writer:
    b: IntegerKernelBuilder
    isa: Isa
    problem: QuantizedPool2d
    source: Buffer
    output: Buffer

    @property
    def _is_max(self) -> bool:
        return self.problem.geometry.kind == "max"

    @property
    def _dtype(self) -> str:
        """Type of what is known of a column."""
        return "uint8" if self._is_max else "uint16"

    def whole(self, plane: Expr) -> None:
        """Write the only result of a plane."""
        b, p = self.b, self.problem.geometry
        start = b.let(plane * (p.in_h * p.in_w))
        name = "umax" if self._is_max else "add"
        dtype = "uint8" if self._is_max else "int32"
        total: Expr = constant(0, 1, dtype)
        lanes = self.isa.lanes(8 if self._is_max else 32)
        for first, turns, width in disjoint_vectors(p.in_h * p.in_w, lanes):
            tile = SumTile(b, 1, (width,), dtype)
            tile.fill([constant(0, width, dtype)])
            with b.serial(turns, carry=tile) as turn:
                value = b.load(self.source, start + first + turn * width, width)
                tile.put(0, 0, self._joined(tile.get(0, 0), cast(dtype, value, width)))
            found = tile.get(0, 0)
            if width > 1:
                found = llvm(dtype, 1, f"llvm.vector.reduce.{name}", found)
            total = self._joined(total, found)
        self._store(plane, b.let(total), 1, constant(p.kernel_h * p.kernel_w, 1, "int32"))

    def windows(self, plane: Expr) -> None:
        """Write a plane of results, in bands that the first-level cache holds."""
        b, p = self.b, self.problem.geometry
        line_bytes = p.in_w * (1 if self._is_max else 2)
        lines = max(1, min(p.out_h, self.isa.l1_bytes // 4 // line_bytes))
        lines = -(-p.out_h // -(-p.out_h // lines))
        space = b.workspace("rows", lines * p.in_w, self._dtype)
        image = b.let(plane * (p.in_h * p.in_w))
        with b.serial(-(-p.out_h // lines)) as band:
            line = b.let(minimum(band * lines, p.out_h - lines))
            with b.serial(lines) as index:
                self._rows(image, b.let(line + index), space, b.let(index * p.in_w))
            with b.serial(lines) as index:
                row = b.let(line + index)
                target = b.let((plane * p.out_h + row) * p.out_w)
                self._columns(space, b.let(index * p.in_w), target, row)

    def _rows(self, image: Expr, row: Expr, space: Buffer, place: Expr) -> None:
        """Combine what an output row sees of each input column."""
        b, p = self.b, self.problem.geometry
        dtype = self._dtype
        first, count = p.rows.taps(b, row)
        top = row * p.stride_h - p.pad_top + first * p.dilation_h
        start = b.let(image + top * p.in_w)
        lanes = self.isa.lanes(8 if self._is_max else 16)
        for run in split_columns(p.in_w, lanes, _PANEL_VECTORS):
            with b.serial(run.count) as panel:
                column = b.let(run.start + panel * run.packed_columns)
                tile = SumTile(b, 1, run.widths, dtype)
                tile.fill([constant(0, width, dtype) for width in run.widths])
                with b.serial(count, carry=tile) as tap:
                    at = b.let(start + column + tap * (p.dilation_h * p.in_w))
                    for index, (offset, width) in enumerate(run.vectors):
                        value = cast(dtype, b.load(self.source, at + offset, width), width)
                        tile.put(0, index, self._joined(tile.get(0, index), value))
                for index, (offset, width) in enumerate(run.vectors):
                    b.store(space, place + column + offset, tile.get(0, index), width)

    def _columns(self, space: Buffer, base: Expr, target: Expr, row: Expr) -> None:
        """Combine what each output sees of the combined row, and write it."""
        b, p = self.b, self.problem.geometry
        taps = range(p.kernel_w)
        lanes = self.isa.lanes(8 if self._is_max else 32)
        height = None if self._is_max else p.rows.taps(b, row)[1]
        for run in line_runs(p.columns, list(taps), lanes):
            with b.serial(run.count) as turn:
                moved = b.let(base + turn * (run.lanes * p.stride_w))
                total: Expr = None
                for tap in taps:
                    places = line_places(p.columns, tap, run.start, run.lanes)
                    if all(place is None for place in places):
                        continue
                    value = gather(b, space, moved, places, 0, self._dtype)
                    if not self._is_max:
                        value = cast("int32", value, run.lanes)
                    total = b.let(value if total is None else self._joined(total, value))
                divisor = None
                if height is not None:
                    outputs = range(run.start, run.start + run.lanes)
                    across = [sum(p.columns.inside(x, tap) for tap in taps) for x in outputs]
                    divisor = self._times(height, across)
                place = target + (run.start + turn * run.lanes)
                self._store(place, total, run.lanes, divisor)

    def _joined(self, left: Expr, right: Expr) -> Expr:
        return maximum(left, right) if self._is_max else left + right

    def _times(self, height: Expr, across: list[int]) -> Expr:
        """Return how many pixels a vector of windows of one height sees."""
        lanes = len(across)
        if len(set(across)) == 1:
            return repeated(height * across[0], lanes)
        counts = [constant(each, 1, "int32") for each in across]
        return shuffle(counts, range(lanes)) * repeated(height, lanes)

    def _store(self, place: Expr, total: Expr, lanes: int, divisor: Expr) -> None:
        b, problem = self.b, self.problem
        if self._is_max:
            low, high = (constant(n, lanes, "uint8") for n in (problem.low, problem.high))
            value = minimum(maximum(total, low), high)
        else:
            value = averages(b, self.isa, problem, [total], lanes, b.let(divisor))
        b.store(self.output, place, value, lanes)
