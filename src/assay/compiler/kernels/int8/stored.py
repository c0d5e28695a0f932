"""How 8-bit tensors are stored, and the conversion between that and real numbers, in registers.

All activations are uint8 in memory; a model's int8 tensors are shifted by 128, zero point and all.
A vector of real numbers becomes bytes by: limit to ``[low - zero_point, high - zero_point]``, round
half to even, add the zero point. Limiting first saturates values of any size.

x86 narrows 32-bit lanes by packing two registers into one within each 128-bit block, which brings
channels out of order. ``lane_order`` says which byte each lane becomes; per-channel operands are
packed in that order when weights are packed, so that nothing needs reordering at run time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tvm import tirx

from assay.compiler.kernels.builder import Expr, KernelBuilder, constant, maximum, minimum
from assay.compiler.kernels.int8.vectors import (
    bits_as,
    cast,
    concatenate,
    llvm,
    rounded,
    shuffle,
    unpack,
    vector_type,
)
from assay.compiler.target import Isa

SIGN_FLIP = 128
"""What is added to int8 values and zero points to store them as uint8."""

_ROUND = 1.5 * 2.0**23  # adding it leaves the nearest integer, ties to even, in the low bits
_ROUND_BITS = 0x4B400000
_LARGEST = 255
_AVX_BITS = 256
_NEAREST = 4  # rounding-mode operand of AVX-512 intrinsics: as the control register says

_CONVERT = {4: "llvm.x86.sse2.cvtps2dq", 8: "llvm.x86.avx.cvt.ps2dq.256"}
_CONVERT_512 = "llvm.x86.avx512.mask.cvtps2dq.512"
_PACK_WORDS = {
    4: "llvm.x86.sse2.packssdw.128",
    8: "llvm.x86.avx2.packssdw",
    16: "llvm.x86.avx512.packssdw.512",
}
_PACK_BYTES = {
    4: "llvm.x86.sse2.packuswb.128",
    8: "llvm.x86.avx2.packuswb",
    16: "llvm.x86.avx512.packuswb.512",
}


BYTES, INT32 = 2.0**8, 2.0**31
"""Neither a difference of stored values nor an int32 is as large as this; results below it fit."""


@dataclass(frozen=True)
class StoredRange:
    """The stored value that means zero, and the limits of what a fused activation lets through."""

    zero_point: int
    low: int = 0
    high: int = 255

    def __post_init__(self) -> None:
        if not (0 <= self.low <= self.high <= 255 and 0 <= self.zero_point <= 255):
            raise ValueError(f"stored values are 0 to 255, low before high: {self}")


def split_lanes(isa: Isa, width: int) -> tuple[int, int]:
    """Return (vectors, lanes) of 32 bits that ``width`` bytes, a power of two, are worked on as."""
    for count in (4, 2):
        if packs(isa, count, width // count):
            return count, width // count
    return 1, width


def lane_order(isa: Isa, count: int, lanes: int) -> tuple[int, ...]:
    """Return which byte each lane of ``count`` vectors becomes, vector after vector."""
    block = 4 * count if packs(isa, count, lanes) else lanes
    inner = 4 if packs(isa, count, lanes) else lanes
    return tuple(
        block * (lane // inner) + inner * vector + lane % inner
        for vector in range(count)
        for lane in range(lanes)
    )


def to_bytes(
    b: KernelBuilder,
    isa: Isa,
    reals: Sequence[Expr],
    lanes: int,
    target: StoredRange,
    fit: bool = False,
) -> Expr:
    """Quantize vectors of float32 that count in steps of the target's scale; see ``lane_order``.

    ``fit`` says that all of them would fit an int32: then packing limits them well enough.
    """
    packing = packs(isa, len(reals), lanes)
    if not (fit and packing):
        high = constant(target.high - target.zero_point, lanes)
        reals = [minimum(value, high) for value in reals]
    low = target.low - target.zero_point
    integers = [b.let(_nearest(isa, value, lanes, low)) for value in reals]
    if not packing:
        return b.let(_narrow(integers, lanes, target))
    words = [
        b.let(_words(integers[i], integers[i + 1], lanes, target.zero_point))
        for i in range(0, len(integers), 2)
    ]
    width = len(reals) * lanes
    packed = _pack_bytes(words, lanes, target.low)
    if target.low > 0:
        packed = maximum(packed, constant(target.low, width, "uint8"))
    if fit and target.high < _LARGEST:
        packed = minimum(packed, constant(target.high, width, "uint8"))
    return b.let(packed)


def from_bytes(b: KernelBuilder, isa: Isa, value: Expr, count: int, lanes: int) -> list[Expr]:
    """Widen ``count * lanes`` bytes to int32 vectors; byte order as ``lane_order`` says."""
    width = count * lanes
    value = b.let(value)
    if not packs(isa, count, lanes):
        if count == 1:
            return [b.let(cast("int32", value, lanes))]
        parts = (range(start, start + lanes) for start in range(0, width, lanes))
        return [b.let(cast("int32", shuffle([value], part), lanes)) for part in parts]
    if count == 2:
        words = [cast("int16", value, width)]
    else:
        halves = unpack(value, constant(0, width, "uint8"), width, 16)
        words = [bits_as("int16", half, width // 2) for half in halves]
    zero = constant(0, 2 * lanes, "int16")
    vectors = [half for word in words for half in unpack(b.let(word), zero, 2 * lanes, 8)]
    return [b.let(bits_as("int32", vector, lanes)) for vector in vectors]


def nearest_real(isa: Isa, value: Expr, lanes: int, target: StoredRange) -> Expr:
    """Return float32 values as the target's bytes would hold them, less its zero point.

    Before AVX x86 may lack an instruction that rounds; without one LLVM would call a function.
    """
    low = constant(target.low - target.zero_point, lanes)
    high = constant(target.high - target.zero_point, lanes)
    limited = maximum(minimum(value, high), low)
    if isa.arch == "x86_64" and isa.vector_bits >= _AVX_BITS:
        return llvm("float32", lanes, "llvm.roundeven", limited)
    magic = constant(_ROUND, lanes)
    return rounded(limited + magic, lanes) - magic


def packs(isa: Isa, count: int, lanes: int) -> bool:
    """Tell whether ``count`` vectors of ``lanes`` are narrowed by packing one with another."""
    return (
        isa.arch == "x86_64" and count in (2, 4) and lanes in _PACK_WORDS and lanes <= isa.lanes()
    )


def _nearest(isa: Isa, value: Expr, lanes: int, low: int) -> Expr:
    """Round to int32. On x86 what is below the limit stays so, however far; elsewhere limit it."""
    if isa.arch == "x86_64" and lanes == 16 == isa.lanes():
        keep = (constant(0, 16, "int32"), tirx.IntImm("int16", -1), tirx.IntImm("int32", _NEAREST))
        return llvm("int32", 16, _CONVERT_512, value, *keep)
    if isa.arch == "x86_64" and lanes in _CONVERT and lanes <= isa.lanes():
        return llvm("int32", lanes, _CONVERT[lanes], value)
    limited = maximum(value, constant(low, lanes))
    bits = bits_as("int32", limited + constant(_ROUND, lanes), lanes)
    return bits - constant(_ROUND_BITS, lanes, "int32")


def _narrow(integers: Sequence[Expr], lanes: int, target: StoredRange) -> Expr:
    zero, low = (constant(v, lanes, "int32") for v in (target.zero_point, target.low))
    values = [maximum(value + zero, low) for value in integers]
    width = lanes * len(integers)
    return cast("uint8", concatenate(values, lanes), width)


def _words(left: Expr, right: Expr, lanes: int, zero_point: int) -> Expr:
    """Pack to int16 and add the zero point, saturating both times."""
    packed = llvm("int16", 2 * lanes, _PACK_WORDS[lanes], left, right)
    if zero_point == 0:
        return packed
    return llvm(
        "int16", 2 * lanes, "llvm.sadd.sat", packed, constant(zero_point, 2 * lanes, "int16")
    )


def _pack_bytes(words: Sequence[Expr], lanes: int, low: int) -> Expr:
    if len(words) == 2:
        return llvm("uint8", 4 * lanes, _PACK_BYTES[lanes], *words)
    (word,) = words
    if lanes == 16:  # AVX-512 truncates 32 words to bytes in order; the unsigned part comes first
        limited = minimum(word, constant(_LARGEST, 32, "int16"))
        return tirx.Cast(vector_type("uint8", 32), maximum(limited, constant(low, 32, "int16")))
    if lanes == 8:
        halves = [shuffle([word], part) for part in (range(8), range(8, 16))]
        return llvm("uint8", 16, _PACK_BYTES[4], *halves)
    return shuffle([llvm("uint8", 16, _PACK_BYTES[4], word, word)], range(8))
