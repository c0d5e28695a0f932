"""Products of 8-bit inputs and weights, summed exactly into 32-bit lanes, on each instruction set.

One step takes ``taps`` consecutive inputs, the same for all lanes, and ``taps`` weights per lane.

=============  ====  ========================  ===================================================
instruction    taps  inputs                    where
=============  ====  ========================  ===================================================
vpdpbusd       4     uint8 as stored           AVX512-VNNI, AVX-VNNI
sdot           4     int8: stored minus 128    ARM with the dot-product extension
pmaddwd, add   2     int16                     other x86
multiply, add  1     int16                     everything else; ARM has it as one instruction
=============  ====  ========================  ===================================================

x86's pmaddubsw would take bytes before VNNI too, but it saturates at 16 bits. Sums wrap around
beyond 32 bits, as they do in TFLite; they would need 33,000 inputs to get there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tvm import tirx

from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, broadcast, constant
from assay.compiler.kernels.int8.vectors import bits_as, cast, llvm, vector_type
from assay.compiler.target import Isa

_MADD = {
    4: "llvm.x86.sse2.pmadd.wd",
    8: "llvm.x86.avx2.pmadd.wd",
    16: "llvm.x86.avx512.pmaddw.d.512",
}


@dataclass(frozen=True)
class Dot:
    """A way to add products to int32 lanes.

    ``add(sums, inputs, weights, lanes)`` is the instruction. Inputs are of dtype ``inputs``: the
    stored value less ``input_offset``. Weights are widened to 16 bits, less their zero point, if
    ``wide_weights``; otherwise they are int8, and a zero point has to be dealt with by the sum of
    the inputs. ``fused`` says that no register is needed between product and sum.
    """

    taps: int
    inputs: str
    input_offset: int
    wide_weights: bool
    fused: bool
    add: Callable[[Expr, Expr, Expr, int], Expr]

    def load_inputs(self, b: KernelBuilder, source: Buffer, offset: Expr, lanes: int) -> Expr:
        """Load one step's inputs into all lanes."""
        if self.taps == 1:
            return b.let(broadcast(b.load(source, offset), lanes))
        word = b.let(tirx.reinterpret("int32", b.load(source, offset, self.taps)))
        return b.let(bits_as(self.inputs, broadcast(word, lanes), self.taps * lanes))

    def load_weights(
        self, b: KernelBuilder, weights: Buffer, offset: Expr, lanes: int, zero_point: int
    ) -> Expr:
        """Load one step's weights, int8 in memory, [lanes][taps]."""
        width = self.taps * lanes
        value = b.load(weights, offset, width)
        if self.wide_weights:
            value = cast("int16", value, width)
            if zero_point:
                value = value - constant(zero_point, width, "int16")
        return b.let(value)

    def convert(self, stored: Expr, lanes: int) -> Expr:
        """Turn stored bytes into the inputs that the instruction takes."""
        if self.inputs == "int8":
            flipped = tirx.bitwise_xor(stored, constant(self.input_offset, lanes, "uint8"))
            return bits_as("int8", flipped, lanes)
        return stored if self.inputs == "uint8" else cast(self.inputs, stored, lanes)

    @property
    def reads_stored(self) -> bool:
        """Whether the instruction takes the bytes as they are in memory."""
        return self.inputs == "uint8"


def choose_dot(isa: Isa) -> Dot:
    """Return the fastest exact instruction for int8 weights."""
    if isa.dot in ("vnni512", "vnni256", "avxvnni"):
        return _VPDPBUSD
    return _SDOT if isa.dot == "sdot" else choose_wide_dot(isa)


def choose_wide_dot(isa: Isa) -> Dot:
    """Return the fastest exact instruction for weights of 9 bits: int8 less a zero point."""
    return _PMADDWD if isa.arch == "x86_64" else _MULTIPLY


def _vpdpbusd(sums: Expr, inputs: Expr, weights: Expr, lanes: int) -> Expr:
    # The name is AVX-512's; LLVM encodes it for AVX-VNNI where that is what the CPU has.
    name = f"llvm.x86.avx512.vpdpbusd.{32 * lanes}"
    return llvm("int32", lanes, name, sums, inputs, weights)


def _sdot(sums: Expr, inputs: Expr, weights: Expr, lanes: int) -> Expr:
    return llvm("int32", lanes, "llvm.aarch64.neon.sdot.v4i32.v16i8", sums, inputs, weights)


def _pmaddwd(sums: Expr, inputs: Expr, weights: Expr, lanes: int) -> Expr:
    return sums + llvm("int32", lanes, _MADD[lanes], inputs, weights)


def _multiply(sums: Expr, inputs: Expr, weights: Expr, lanes: int) -> Expr:
    wide = vector_type("int32", lanes)
    return sums + tirx.Cast(wide, inputs) * tirx.Cast(wide, weights)


_VPDPBUSD = Dot(4, "uint8", 0, wide_weights=False, fused=True, add=_vpdpbusd)
_SDOT = Dot(4, "int8", 128, wide_weights=False, fused=True, add=_sdot)
_PMADDWD = Dot(2, "int16", 0, wide_weights=True, fused=False, add=_pmaddwd)
_MULTIPLY = Dot(1, "int16", 0, wide_weights=True, fused=True, add=_multiply)
