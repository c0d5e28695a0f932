"""Any function of one 8-bit number as a table of 256 bytes: hard-swish, sigmoid, tanh and others.

CPUs with vectors of 32 bytes or more look up 16 entries at a time: their byte shuffle takes the low
four bits of an index and gives zero if the highest is set. Lowering the index by 16 from table to
table makes each of the 16 tables count for the indices that reach it; since a table also counts for
the next seven, it holds the exclusive or of what is wanted and what the seven before it give.
AVX512-VBMI picks among 128 entries at a time, which leaves one choice between two halves. ARM looks
up 64 entries at a time and gives zero beyond them.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from assay.compiler.kernels.builder import Buffer, Expr, constant
from assay.compiler.kernels.int8.builder import IntegerKernelBuilder
from assay.compiler.kernels.int8.epilogue import load_first, store_first
from assay.compiler.kernels.int8.loops import for_each_vector
from assay.compiler.kernels.int8.vectors import bits_as, concatenate, llvm, shuffle
from assay.compiler.target import Isa

_SHUFFLES = {
    16: "llvm.x86.ssse3.pshuf.b.128",
    32: "llvm.x86.avx2.pshuf.b",
    64: "llvm.x86.avx512.pshuf.b.512",
}
_PICK, _PICKED = "llvm.x86.avx512.vpermi2var.qi.512", 64
_TABLE, _EXTEND = "llvm.aarch64.neon.tbl4.v16i8", "llvm.aarch64.neon.tbx4.v16i8"
_ENTRIES, _ROW, _QUARTER = 256, 16, 64
_REACH = 8  # rows from an index of 0 to the lowest with the highest bit set


@dataclass(frozen=True)
class Lookup:
    """``output = table[input]``. Kernel parameters, in order: input, packed table, output."""

    shape: tuple[int, ...]


def applicable(problem: Lookup) -> bool:
    """Tell whether the kernel fits: always."""
    return True


def pack(problem: Lookup, isa: Isa, table: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pack a table uint8 [256], indexed by stored values."""
    if not _shuffles(isa):
        return table.reshape(_ENTRIES)
    rows = table.reshape(_ENTRIES // _ROW, _ROW).copy()
    for index in range(1, len(rows)):
        rows[index] ^= np.bitwise_xor.reduce(rows[max(0, index - _REACH + 1) : index], axis=0)
    return np.tile(rows, (1, isa.lanes(8) // _ROW)).reshape(-1)


def generate(problem: Lookup, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`Lookup` says."""
    b = IntegerKernelBuilder()
    size = prod(problem.shape)
    packed = _ENTRIES // _ROW * isa.lanes(8) if _shuffles(isa) else _ENTRIES
    source = b.parameter("input", problem.shape, "uint8")
    table = b.parameter("table", (packed,), "uint8")
    output = b.parameter("output", problem.shape, "uint8")

    def vector(offsets: list[Expr], _steps: tuple[int, ...], lanes: int) -> None:
        value = b.let(b.load(source, offsets[0], lanes))
        b.store(output, offsets[0], _looked_up(b, isa, table, value, lanes), lanes)

    if not (_shuffles(isa) or isa.byte_permute or isa.arch == "aarch64"):
        for_each_vector(b, isa, 1, [problem.shape] * 2, parallel, vector)
    elif size < _ROW:
        value = load_first(b, source, 0, _ROW, size)
        store_first(b, output, 0, _looked_up(b, isa, table, value, _ROW), _ROW, size)
    else:
        for_each_vector(b, isa, isa.lanes(8), [(size,)] * 2, parallel, vector, _ROW)
    return b.function(name)


def _shuffles(isa: Isa) -> bool:
    """Tell whether rows of 16 are the best there is: SSE2 has none, and is not told from SSSE3."""
    return isa.arch == "x86_64" and isa.vector_bits > 128 and not isa.byte_permute


def _looked_up(b: IntegerKernelBuilder, isa: Isa, table: Buffer, value: Expr, lanes: int) -> Expr:
    if lanes == 1:
        return b.load(table, tirx.Cast("int32", value))
    if isa.arch == "aarch64":
        return _quarters(b, table, value)
    if isa.byte_permute:
        return _halves(b, table, value, lanes)
    result: Expr = None
    upper = b.let(bits_as("int8", value - constant(_ENTRIES // 2, lanes, "uint8"), lanes))
    for row in range(_ENTRIES // _ROW):
        entries = b.load(table, row * isa.lanes(8), lanes)
        if row < _REACH:
            index = value - constant(row * _ROW, lanes, "uint8")
        else:  # saturating, so that low indices keep the highest bit
            step = constant((row - _REACH) * _ROW, lanes, "int8")
            index = bits_as("uint8", llvm("int8", lanes, "llvm.ssub.sat", upper, step), lanes)
        found = llvm("uint8", lanes, _SHUFFLES[lanes], entries, index)
        result = b.let(found if result is None else tirx.bitwise_xor(result, found))
    return result


def _halves(b: IntegerKernelBuilder, table: Buffer, value: Expr, lanes: int) -> Expr:
    """Pick from the lower and from the upper 128 entries by the low seven bits of an index."""
    index = value
    if lanes < _PICKED:
        index = b.let(concatenate([value] * (_PICKED // lanes), lanes))
    quarters = [b.let(b.load(table, first, _PICKED)) for first in range(0, _ENTRIES, _PICKED)]
    lower, upper = (
        b.let(llvm("uint8", _PICKED, _PICK, left, index, right))
        for left, right in (quarters[:2], quarters[2:])
    )
    is_lower = index < constant(_ENTRIES // 2, _PICKED, "uint8")
    found = b.let(tirx.Select(is_lower, lower, upper))
    return found if lanes == _PICKED else shuffle([found], range(lanes))


def _quarters(b: IntegerKernelBuilder, table: Buffer, value: Expr) -> Expr:
    """Look up 64 entries four times; an index beyond them leaves what was found before."""
    result: Expr = None
    for first in range(0, _ENTRIES, _QUARTER):
        rows = [b.load(table, first + row, _ROW) for row in range(0, _QUARTER, _ROW)]
        if result is None:
            result = b.let(llvm("uint8", _ROW, _TABLE, *rows, value))
        else:
            index = value - constant(first, _ROW, "uint8")
            result = b.let(llvm("uint8", _ROW, _EXTEND, result, *rows, index))
    return result
