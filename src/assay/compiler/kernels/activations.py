"""Element-wise operations by name, as expressions on vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tvm import tirx

from assay.compiler.kernels import vector_math
from assay.compiler.kernels.builder import Expr, KernelBuilder, constant, maximum, minimum

Writer = Callable[..., Expr]


@dataclass(frozen=True)
class Unary:
    """``write(builder, value, lanes, *constants)`` returns the result's expression.

    ``is_long`` marks those of tens of instructions.
    """

    write: Writer
    constants: int = 0
    is_long: bool = False


def _relu(b: KernelBuilder, value: Expr, lanes: int) -> Expr:
    return maximum(value, constant(0.0, lanes))


def _clip(b: KernelBuilder, value: Expr, lanes: int, low: float, high: float) -> Expr:
    return minimum(maximum(value, constant(low, lanes)), constant(high, lanes))


def _leaky_relu(b: KernelBuilder, value: Expr, lanes: int, slope: float) -> Expr:
    value = b.let(value)
    return tirx.Select(value > constant(0.0, lanes), value, value * constant(slope, lanes))


def _elu(b: KernelBuilder, value: Expr, lanes: int, scale: float) -> Expr:
    value = b.let(value)
    zero = constant(0.0, lanes)
    curve = vector_math.expm1(b, minimum(value, zero), lanes)
    return tirx.Select(value > zero, value, curve * constant(scale, lanes))


def _hard_sigmoid(b: KernelBuilder, value: Expr, lanes: int) -> Expr:
    return _clip(b, value + constant(3.0, lanes), lanes, 0.0, 6.0) * constant(1 / 6, lanes)


def _hard_swish(b: KernelBuilder, value: Expr, lanes: int) -> Expr:
    value = b.let(value)
    return value * _hard_sigmoid(b, value, lanes)


def _gelu_tanh(b: KernelBuilder, value: Expr, lanes: int) -> Expr:
    """Hendrycks and Gimpel's approximation, which TFLite's GELU uses if ``approximate`` is set."""
    value = b.let(value)
    inner = value * (value * value * constant(0.044715, lanes) + constant(1.0, lanes))
    curve = vector_math.tanh(b, inner * constant((2 / 3.141592653589793) ** 0.5, lanes), lanes)
    return value * constant(0.5, lanes) * (curve + constant(1.0, lanes))


def _gelu(b: KernelBuilder, value: Expr, lanes: int) -> Expr:
    """Hendrycks and Gimpel's GELU: value times the normal distribution's cumulative share."""
    value = b.let(value)
    curve = vector_math.erf(b, value * constant(0.5**0.5, lanes), lanes)
    return value * constant(0.5, lanes) * (curve + constant(1.0, lanes))


def _square(b: KernelBuilder, value: Expr, lanes: int) -> Expr:
    value = b.let(value)
    return value * value


UNARY: Mapping[str, Unary] = MappingProxyType(
    {
        "relu": Unary(_relu),
        "clip": Unary(_clip, constants=2),
        "leaky_relu": Unary(_leaky_relu, constants=1),
        "elu": Unary(_elu, constants=1, is_long=True),
        "hard_sigmoid": Unary(_hard_sigmoid),
        "hard_swish": Unary(_hard_swish),
        "erf": Unary(vector_math.erf, is_long=True),
        "gelu": Unary(_gelu, is_long=True),
        "gelu_tanh": Unary(_gelu_tanh, is_long=True),
        "exp": Unary(vector_math.exp, is_long=True),
        "sigmoid": Unary(vector_math.sigmoid, is_long=True),
        "swish": Unary(vector_math.swish, is_long=True),
        "tanh": Unary(vector_math.tanh, is_long=True),
        "negative": Unary(lambda b, value, lanes: -value),
        "abs": Unary(lambda b, value, lanes: tirx.abs(value)),
        "square": Unary(_square),
        "sqrt": Unary(lambda b, value, lanes: tirx.sqrt(value)),
        "rsqrt": Unary(lambda b, value, lanes: constant(1.0, lanes) / tirx.sqrt(value)),
    }
)
"""TFLite's activations, and the unary operators that need no more than these."""


def _prelu(value: Expr, slope: Expr) -> Expr:
    """PReLU as the importer spells it, so that standing alone or not it gives the same bits."""
    zero = tirx.const(0.0, value.ty)
    return maximum(value, zero) + minimum(value, zero) * slope


BINARY: Mapping[str, Callable[[Expr, Expr], Expr]] = MappingProxyType(
    {
        "add": lambda left, right: left + right,
        "subtract": lambda left, right: left - right,
        "multiply": lambda left, right: left * right,
        "divide": lambda left, right: left / right,
        "maximum": maximum,
        "minimum": minimum,
        "prelu": _prelu,
        "subtract_from": lambda left, right: right - left,
        "divide_into": lambda left, right: right / left,
    }
)
"""Operations on the running value (left) and an operand (right)."""
