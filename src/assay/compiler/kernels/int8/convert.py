"""Between a model's own tensors and stored ones: QUANTIZE, DEQUANTIZE, and int8's shift by 128."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from tvm import tirx

from assay.compiler.kernels.builder import Expr, constant
from assay.compiler.kernels.int8.builder import IntegerKernelBuilder
from assay.compiler.kernels.int8.loops import for_each_vector
from assay.compiler.kernels.int8.stored import SIGN_FLIP, StoredRange, to_bytes
from assay.compiler.kernels.int8.vectors import bits_as, cast
from assay.compiler.target import Isa


@dataclass(frozen=True)
class Quantize:
    """``real * factor`` as stored bytes; ``factor`` is 1 / scale in float32.

    Not-a-number becomes some byte within the range. Kernel parameters: float32 input, output.
    """

    shape: tuple[int, ...]
    factor: float
    output: StoredRange


@dataclass(frozen=True)
class Dequantize:
    """``(input - zero point) * scale`` in float32. Kernel parameters: input, float32 output."""

    shape: tuple[int, ...]
    zero_point: int
    scale: float


@dataclass(frozen=True)
class Shift:
    """int8 to stored uint8, or back: the same numbers but for 128.

    Kernel parameters: input, output, one of them uint8 and the other int8.
    """

    shape: tuple[int, ...]
    to: Literal["uint8", "int8"]


Problem = Quantize | Dequantize | Shift


def applicable(problem: Problem) -> bool:
    """Tell whether the kernel fits: always."""
    return True


def generate(problem: Problem, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as the problem says."""
    b = IntegerKernelBuilder()
    source_dtype, output_dtype = _dtypes(problem)
    source = b.parameter("input", problem.shape, source_dtype)
    output = b.parameter("output", problem.shape, output_dtype)

    def vector(offsets: list[Expr], _steps: tuple[int, ...], lanes: int) -> None:
        value = b.let(b.load(source, offsets[0], lanes))
        b.store(output, offsets[-1], _converted(b, isa, problem, value, lanes), lanes)

    width = isa.lanes(8) if isinstance(problem, Shift) else isa.lanes()
    for_each_vector(b, isa, width, [problem.shape] * 2, parallel, vector)
    return b.function(name)


def _dtypes(problem: Problem) -> tuple[str, str]:
    if isinstance(problem, Quantize):
        return "float32", "uint8"
    if isinstance(problem, Dequantize):
        return "uint8", "float32"
    return ("int8", "uint8") if problem.to == "uint8" else ("uint8", "int8")


def _converted(
    b: IntegerKernelBuilder, isa: Isa, problem: Problem, value: Expr, lanes: int
) -> Expr:
    if isinstance(problem, Quantize):
        return to_bytes(b, isa, [value * constant(problem.factor, lanes)], lanes, problem.output)
    if isinstance(problem, Dequantize):
        integer = cast("int32", value, lanes) - constant(problem.zero_point, lanes, "int32")
        return cast("float32", integer, lanes) * constant(problem.scale, lanes)
    flipped = tirx.bitwise_xor(bits_as("uint8", value, lanes), constant(SIGN_FLIP, lanes, "uint8"))
    return bits_as(problem.to, flipped, lanes)
