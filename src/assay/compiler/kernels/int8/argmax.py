"""Where the largest or smallest of stored bytes along an axis is; of equal ones, the first.

A byte and its index make one number, the byte in the upper bits and turned over for a maximum: the
least of these numbers has the index. So a search is a minimum, in vectors along the axis or, where
other axes follow it, along those.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, Literal

from tvm import tirx

from assay.compiler.kernels.builder import Buffer, Expr, broadcast, constant, minimum
from assay.compiler.kernels.int8.builder import IntegerKernelBuilder
from assay.compiler.kernels.int8.loops import for_each_run
from assay.compiler.kernels.int8.sums import SumTile
from assay.compiler.kernels.int8.vectors import cast, llvm, shuffle
from assay.compiler.kernels.panels import split_columns
from assay.compiler.kernels.splits import floor_power_of_two
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

_PANEL_VECTORS = 4  # minima in flight
_SHORT = 256  # indices that fit beside a byte in 16 bits
_LONGEST = 1 << 24  # and in 32
_FEWEST = 8  # lanes whose minimum of 16 bits x86 has an instruction for


@dataclass(frozen=True)
class QuantizedArg:
    """ARG_MAX or ARG_MIN over ``axis`` of a tensor of ``shape``.

    Kernel parameters, in order: input, output of ``dtype`` without the axis.
    """

    kind: Literal["max", "min"]
    shape: tuple[int, ...]
    axis: int
    dtype: Literal["int32", "int64"]

    @property
    def size(self) -> int:
        """Elements along the axis."""
        return self.shape[self.axis]

    @property
    def outer(self) -> int:
        """Searches in different places before the axis."""
        return prod(self.shape[: self.axis])

    @property
    def inner(self) -> int:
        """Searches side by side behind it."""
        return prod(self.shape[self.axis + 1 :])


def applicable(problem: QuantizedArg) -> bool:
    """Tell whether an index fits beside a byte."""
    return 0 < problem.size <= _LONGEST and problem.outer * problem.inner > 0


def generate(problem: QuantizedArg, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`QuantizedArg` says."""
    b, p = IntegerKernelBuilder(), problem
    source = b.parameter("input", p.shape, "uint8")
    output = b.parameter("output", p.shape[: p.axis] + p.shape[p.axis + 1 :], p.dtype)
    tasks = task_count(isa, parallel, prod(p.shape), prod(p.shape) + 8 * p.outer * p.inner)
    writer = _Writer(b, isa, p, source, output)
    if p.inner == 1:
        writer.along(tasks)
    else:
        writer.across(tasks)
    return b.function(name)


@dataclass(frozen=True)
class _Writer:
    b: IntegerKernelBuilder
    isa: Isa
    p: QuantizedArg
    source: Buffer
    output: Buffer

    @property
    def _bits(self) -> int:
        return 8 if self.p.size <= _SHORT else 24

    @property
    def _dtype(self) -> str:
        return "uint16" if self.p.size <= _SHORT else "uint32"

    @property
    def _lanes(self) -> int:
        return self.isa.lanes(self._bits + 8)

    def along(self, tasks: int) -> None:
        """Search rows, in vectors along them."""
        b, p = self.b, self.p
        lanes = min(self._lanes, floor_power_of_two(p.size))
        with (b.parallel if tasks > 1 else b.serial)(p.outer) as row:
            start = b.let(row * p.size)
            tile = SumTile(b, 1, (lanes,), self._dtype)
            tile.fill([constant(-1 % (1 << (self._bits + 8)), lanes, self._dtype)])
            least: list[Expr] = []

            def vector(first: Expr, width: int) -> None:
                indices = [tirx.IntImm(self._dtype, lane) for lane in range(width)]
                index = shuffle(indices, range(width)) if width > 1 else indices[0]
                index = index + broadcast(tirx.Cast(self._dtype, first), width)
                numbers = self._numbers(start + first, index, width)
                if width == lanes:
                    tile.put(0, 0, minimum(tile.get(0, 0), numbers))
                else:  # the rest, behind all others
                    least.append(numbers)

            for_each_run(b, p.size, lanes, vector, carry=tile)
            found = tile.get(0, 0)
            for rest in least:
                width = int(rest.ty.dtype.lanes)
                found, lanes = minimum(self._halved(found, lanes, width), rest), width
            self._store(row, self._least(found, lanes), 1)

    def across(self, tasks: int) -> None:
        """Search side by side, in vectors of searches."""
        b, p = self.b, self.p
        loop = b.parallel if tasks > 1 else b.serial
        for run in split_columns(p.inner, self._lanes, _PANEL_VECTORS):
            with loop(p.outer * run.count) as index:
                outer, panel = b.let(index // run.count), index % run.count
                column = b.let(run.start + panel * run.packed_columns)
                tile = SumTile(b, 1, run.widths, self._dtype)
                most = -1 % (1 << (self._bits + 8))
                tile.fill([constant(most, width, self._dtype) for width in run.widths])
                with b.serial(p.size, carry=tile) as at:
                    start = b.let((outer * p.size + at) * p.inner + column)
                    number = b.let(tirx.Cast(self._dtype, at))
                    for place, (offset, width) in enumerate(run.vectors):
                        numbers = self._numbers(start + offset, broadcast(number, width), width)
                        tile.put(0, place, minimum(tile.get(0, place), numbers))
                for place, (offset, width) in enumerate(run.vectors):
                    self._store(outer * p.inner + column + offset, tile.get(0, place), width)

    def _numbers(self, place: Expr, index: Expr, width: int) -> Expr:
        """Return what orders the bytes from ``place`` on, the indices in the lower bits."""
        value = self.b.load(self.source, place, width)
        if self.p.kind == "max":
            value = constant(_SHORT - 1, width, "uint8") - value
        wide = cast(self._dtype, value, width)
        return self.b.let((wide << constant(self._bits, width, self._dtype)) + index)

    def _halved(self, value: Expr, lanes: int, width: int) -> Expr:
        """Return minima of what lies ``width`` lanes apart."""
        while lanes > width:
            lanes //= 2
            value = self.b.let(value)
            halves = (range(lanes), range(lanes, 2 * lanes))
            value = minimum(*(shuffle([value], half) for half in halves))
        return self.b.let(value)

    def _least(self, value: Expr, lanes: int) -> Expr:
        if lanes == 1:
            return value
        width = min(lanes, _FEWEST)
        value = self._halved(value, lanes, width)
        return self.b.let(llvm(self._dtype, 1, "llvm.vector.reduce.umin", value))

    def _store(self, place: Expr, numbers: Expr, width: int) -> None:
        index = numbers & constant((1 << self._bits) - 1, width, self._dtype)
        self.b.store(self.output, place, cast(self.p.dtype, index, width), width)
