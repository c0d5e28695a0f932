"""Exponential, sigmoid, tanh and erf of whole vectors, without calls into a maths library.

All rest on ``2**n * e**r`` with ``n = round(x / ln 2)`` and ``|r| <= ln(2) / 2`` (the usual range
reduction; J.-M. Muller, "Elementary Functions", ch. 11). The polynomial in r has degree 6 and a
relative error below 2e-8, a third of a rounding. Bounds measured against float64, with and without
fused multiply-add: exp 2 ulp, expm1, sigmoid, swish and tanh 4 ulp, erf 8 ulp.

Arguments are limited where float32 ends: ``exp`` returns 3.4e38 above 88.72 instead of infinity,
and 1.2e-38 below -87.33 instead of a denormal number.
"""

from __future__ import annotations

from functools import lru_cache
from math import factorial, log

import numpy as np
from tvm import tirx

from assay.compiler.kernels.builder import Expr, KernelBuilder, constant, maximum, minimum

EXP_LOW, EXP_HIGH = -87.33, 88.72
TANH_LIMIT = 9.02  # from here on tanh is 1 in float32

ERF_LIMIT = 4.0  # from 3.92 on erf is 1 in float32
ERF_COEFFICIENTS = (
    *(1.1283792, 0.102771315, -2.02153116e-4, -6.0367893e-4, 7.64880715e-5),
    *(-1.8604959e-6, -5.15203844e-7, 5.39268333e-8, -1.641128e-9),
)
"""Of Q(x**2) = artanh(erf(x)) / x, ascending, for -4 <= x <= 4.

A weighted least-squares fit, reweighted until the relative error of erf is about the same
everywhere, below 4e-8.
"""

_LN2 = log(2.0)
_LN2_HIGH = 0.693359375  # 10 bits: n times this is exact
_LN2_LOW = _LN2 - _LN2_HIGH
_ROUND = 1.5 * 2.0**23  # adding it leaves the nearest integer in the mantissa's low bits
_ROUND_BITS = 0x4B400000  # its bits; TVM would simplify ``x + _ROUND - _ROUND`` to ``x``
_MANTISSA_BITS = 23


@lru_cache(maxsize=1)
def expm1_coefficients() -> tuple[float, ...]:
    """Coefficients of (e**r - 1 - r) / r**2, ascending, interpolated at Chebyshev nodes."""
    nodes = _LN2 / 2 * np.cos((np.arange(5) + 0.5) * np.pi / 5)
    values = [sum(float(r) ** k / factorial(k + 2) for k in range(14)) for r in nodes]
    return tuple(map(float, np.linalg.solve(np.vander(nodes, increasing=True), values)))


def exp(b: KernelBuilder, value: Expr, lanes: int) -> Expr:
    """Return e**value."""
    exponent, fraction = _reduced(b, value, lanes)
    mantissa = tirx.reinterpret(_int32(lanes), fraction + constant(1.0, lanes))
    return b.let(tirx.reinterpret(_float32(lanes), mantissa + exponent))


def expm1(b: KernelBuilder, value: Expr, lanes: int) -> Expr:
    """Return e**value - 1, accurate near zero too; for values below 87."""
    exponent, fraction = _reduced(b, value, lanes)
    one = tirx.reinterpret(_int32(lanes), constant(1.0, lanes))
    scale = b.let(tirx.reinterpret(_float32(lanes), one + exponent))
    return b.let(scale * fraction + (scale - constant(1.0, lanes)))


def sigmoid(b: KernelBuilder, value: Expr, lanes: int) -> Expr:
    """Return 1 / (1 + e**-value)."""
    one = constant(1.0, lanes)
    return b.let(one / (one + exp(b, -value, lanes)))


def swish(b: KernelBuilder, value: Expr, lanes: int) -> Expr:
    """Return value * sigmoid(value)."""
    value = b.let(value)
    return b.let(value / (constant(1.0, lanes) + exp(b, -value, lanes)))


def tanh(b: KernelBuilder, value: Expr, lanes: int) -> Expr:
    """Return tanh as m / (m + 2) with m = e**(2 value) - 1, which keeps small values accurate."""
    limited = minimum(maximum(value, constant(-TANH_LIMIT, lanes)), constant(TANH_LIMIT, lanes))
    doubled = expm1(b, limited * constant(2.0, lanes), lanes)
    return b.let(doubled / (doubled + constant(2.0, lanes)))


def erf(b: KernelBuilder, value: Expr, lanes: int) -> Expr:
    """Return the error function as tanh(x Q(x**2)), which keeps small values accurate."""
    low, high = constant(-ERF_LIMIT, lanes), constant(ERF_LIMIT, lanes)
    value = b.let(minimum(maximum(value, low), high))
    square = b.let(value * value)
    *lower, polynomial = (constant(c, lanes) for c in ERF_COEFFICIENTS)
    for coefficient in reversed(lower):
        polynomial = b.let(polynomial * square + coefficient)
    return tanh(b, value * polynomial, lanes)


def _reduced(b: KernelBuilder, value: Expr, lanes: int) -> tuple[Expr, Expr]:
    """Return n shifted into a float's exponent field, and e**r - 1."""
    low, high = constant(EXP_LOW, lanes), constant(EXP_HIGH, lanes)
    value = b.let(minimum(maximum(value, low), high))
    shifted = b.let(value * constant(1 / _LN2, lanes) + constant(_ROUND, lanes))
    bits = b.let(tirx.reinterpret(_int32(lanes), shifted))
    whole = b.let(tirx.Cast(_float32(lanes), bits - constant(_ROUND_BITS, lanes, "int32")))
    rest = b.let(value - whole * constant(_LN2_HIGH, lanes))
    rest = b.let(rest - whole * constant(_LN2_LOW, lanes))
    *lower, polynomial = (constant(c, lanes) for c in expm1_coefficients())
    for coefficient in reversed(lower):
        polynomial = b.let(polynomial * rest + coefficient)
    fraction = b.let(polynomial * (rest * rest) + rest)
    return b.let(bits << constant(_MANTISSA_BITS, lanes, "int32")), fraction


def _int32(lanes: int) -> str:
    return "int32" if lanes == 1 else f"int32x{lanes}"


def _float32(lanes: int) -> str:
    return "float32" if lanes == 1 else f"float32x{lanes}"
