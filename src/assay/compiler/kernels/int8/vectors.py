"""Vector expressions that the integer kernels are written with."""

from __future__ import annotations

from collections.abc import Sequence

from tvm import tirx

from assay.compiler.kernels.builder import Expr


def vector_type(dtype: str, lanes: int) -> str:
    """Name a vector type; one lane is a scalar."""
    return dtype if lanes == 1 else f"{dtype}x{lanes}"


def cast(dtype: str, value: Expr, lanes: int) -> Expr:
    """Convert each lane."""
    return tirx.Cast(vector_type(dtype, lanes), value)


def bits_as(dtype: str, value: Expr, lanes: int) -> Expr:
    """Look at the same bits as another vector type."""
    return tirx.reinterpret(vector_type(dtype, lanes), value)


def llvm(dtype: str, lanes: int, name: str, *operands: Expr) -> Expr:
    """Call an LLVM intrinsic without side effects."""
    return tirx.call_llvm_pure_intrin(vector_type(dtype, lanes), name, *operands)


def shuffle(vectors: Sequence[Expr], lanes: Sequence[int]) -> Expr:
    """Pick lanes out of the vectors' concatenation; one lane gives a scalar."""
    return tirx.Shuffle(list(vectors), [tirx.IntImm("int32", lane) for lane in lanes])


def concatenate(vectors: Sequence[Expr], lanes: int) -> Expr:
    """Put vectors of ``lanes`` each side by side."""
    if len(vectors) == 1:
        return vectors[0]
    return shuffle(vectors, range(lanes * len(vectors)))


def unpack(left: Expr, right: Expr, lanes: int, block: int) -> tuple[Expr, Expr]:
    """Interleave the lower and the upper halves of each block of ``block`` lanes.

    With blocks of 128 bits these are x86's unpack instructions and ARM's zip.
    """
    low: list[int] = []
    high: list[int] = []
    for start in range(0, lanes, block):
        for half, indices in ((0, low), (block // 2, high)):
            for lane in range(start + half, start + half + block // 2):
                indices += [lane, lanes + lane]
    return shuffle((left, right), low), shuffle((left, right), high)


def rounded(value: Expr, lanes: int) -> Expr:
    """Keep a product apart from a sum that follows: no fused multiply-add, on any target.

    Without this the same model would give other results on a CPU with fused multiply-add.
    """
    return llvm("float32", lanes, "llvm.arithmetic.fence", value)


def anew(offset: Expr, index: Expr) -> Expr:
    """Return the same offset, as an int64 that seems to depend on ``index``, an int32 not below 0.

    So LLVM does not move loads from there out of the loop of that index: it would rather move all
    of them, and spill, than see that registers run out. Costs two moves between registers. (Offsets
    of 64 bits need no conversion where they are used.)
    """
    place = index + 1  # never the constant 0, which TVM does not reinterpret
    known = tirx.IntImm("int32", place) if isinstance(place, int) else place
    fenced = rounded(bits_as("float32", known, 1), 1)
    return tirx.Cast("int64", offset + (bits_as("int32", fenced, 1) - place))
