"""Operators that compute element by element, or along an axis.

Where nothing else is said, a quantized one is the float operator between dequantize and quantize.
"""

from __future__ import annotations

import numpy as np
import tflite
from tvm import relax

from assay.compiler.frontend.exprs import Expr, constant
from assay.compiler.frontend.site import Convert, Site


def through_float(site: Site) -> Expr:
    """Convert with the importer, which knows the float operator only."""
    return site.quantized(site.native(real=True))


def softmax(site: Site) -> Expr:
    """SOFTMAX over the last dimension, of ``beta`` times its operand."""
    beta = site.attributes.get("beta", 1.0)
    real = site.real(0)
    scaled = real if beta == 1.0 else relax.op.multiply(real, constant(np.float32(beta)))
    return site.quantized(relax.op.nn.softmax(scaled, -1))


def gelu(site: Site) -> Expr:
    """GELU with the error function, or with the approximation by tanh."""
    approximate = site.attributes.get("approximate", False)
    return site.quantized(
        (relax.op.nn.gelu_tanh if approximate else relax.op.nn.gelu)(site.real(0))
    )


def prelu(site: Site) -> Expr:
    """PRELU with slopes that broadcast."""
    data, zero = site.real(0), constant(np.float32(0))
    negative = relax.op.multiply(relax.op.minimum(data, zero), site.real(1))
    return site.quantized(relax.op.add(relax.op.maximum(data, zero), negative))


def square(site: Site) -> Expr:
    """SQUARE."""
    real = site.real(0)
    return site.quantized(relax.op.multiply(real, real))


def squared_difference(site: Site) -> Expr:
    """SQUARED_DIFFERENCE of operands that broadcast."""
    difference = relax.op.subtract(site.real(0), site.real(1))
    return site.quantized(relax.op.multiply(difference, difference))


def cast(site: Site) -> Expr:
    """CAST to the output's type; the types in its options are for information only."""
    return relax.op.astype(site.expr(0), site.output().dtype)


def local_response_normalization(site: Site) -> Expr:
    """LOCAL_RESPONSE_NORMALIZATION: x / (bias + alpha * s) ** beta.

    s is the sum of the squares of the channels up to ``radius`` away.
    """
    options, x = site.options(tflite.LocalResponseNormalizationOptions), site.expr(0)
    radius, channels = options.Radius(), site.shape(0)[3]
    squares = relax.op.nn.pad(relax.op.multiply(x, x), [0, 0, 0, 0, 0, 0, radius, radius])
    total = relax.op.strided_slice(squares, [3], [0], [channels])
    for offset in range(1, 2 * radius + 1):
        shifted = relax.op.strided_slice(squares, [3], [offset], [offset + channels])
        total = relax.op.add(total, shifted)
    alpha, bias, beta = (
        constant(np.float32(value)) for value in (options.Alpha(), options.Bias(), options.Beta())
    )
    return relax.op.divide(
        x, relax.op.power(relax.op.add(bias, relax.op.multiply(alpha, total)), beta)
    )


def quotient(site: Site) -> Expr:
    """DIV, FLOOR_DIV and FLOOR_MOD by the importer, of integers with a divisor that cannot trap.

    A processor stops at a division by 0, and of the least integer by -1. Here the first divides by
    1 (LiteRT reports an error), and a division by -1 changes the sign, of the least integer not.
    """
    dtype, known = site.tensor(0).dtype, site.known(1)
    if dtype not in ("int32", "int64") or (known is not None and not np.isin(known, (0, -1)).any()):
        return site.native()
    zero, one, minus_one = (constant(np.dtype(dtype).type(value)) for value in (0, 1, -1))
    dividend, divisor = site.expr(0), site.expr(1)
    flips = relax.op.equal(divisor, minus_one)
    traps = relax.op.logical_or(flips, relax.op.equal(divisor, zero))
    safe = site.native({1: relax.op.where(traps, one, divisor)})
    if site.operator.name == "FLOOR_MOD":  # 0 for both 1 and -1
        return safe
    return site.activated(relax.op.where(flips, relax.op.subtract(zero, dividend), safe))


def maximum(site: Site) -> Expr:
    """MAXIMUM, of raw integers if quantized: TFLite wants one scale for all of them."""
    return relax.op.maximum(site.expr(0), site.expr(1))


def minimum(site: Site) -> Expr:
    """MINIMUM, of raw integers if quantized: TFLite wants one scale for all of them."""
    return relax.op.minimum(site.expr(0), site.expr(1))


def equality(site: Site) -> Expr:
    """EQUAL and NOT_EQUAL by the importer, of booleans as integers: TVM compares bits as floats."""
    if site.tensor(0).dtype != "bool":
        return site.native()
    compare = relax.op.equal if site.operator.name == "EQUAL" else relax.op.not_equal
    return compare(*(relax.op.astype(expr, "int8") for expr in site.exprs()))


def arg_max(site: Site) -> Expr:
    """ARG_MAX; the raw integers of a quantized operand are in the order of its values."""
    found = relax.op.argmax(site.expr(0), site.ints(1)[0])
    return relax.op.astype(found, site.output().dtype)


def arg_min(site: Site) -> Expr:
    """ARG_MIN; the raw integers of a quantized operand are in the order of its values."""
    found = relax.op.argmin(site.expr(0), site.ints(1)[0])
    return relax.op.astype(found, site.output().dtype)


def cumsum(site: Site) -> Expr:
    """CUMSUM along an axis, from either end, with or without the element itself."""
    options, axis = site.options(tflite.CumsumOptions), site.ints(1)[0]
    expr = site.expr(0)
    if options.Reverse():
        expr = relax.op.flip(expr, axis)
    summed = relax.op.cumsum(expr, axis, site.output().dtype, bool(options.Exclusive()))
    return relax.op.flip(summed, axis) if options.Reverse() else summed


def top_k(site: Site) -> list[Expr]:
    """TOPK_V2 along the last dimension: values and indices."""
    found = relax.op.topk(site.expr(0), site.ints(1)[0], -1, "both", True, site.output(1).dtype)
    return [found[0], found[1]]


def one_hot(site: Site) -> Expr:
    """ONE_HOT with known depth and values."""
    depth, on, off = site.ints(1)[0], site.value(2), site.value(3)
    axis = site.attributes["axis"]
    if depth not in site.output().static_shape:
        raise ValueError(f"its depth {depth} is not that of its output")
    classes = constant(np.arange(depth, dtype=site.tensor(0).dtype))
    rank = len(site.shape(0)) + 1
    axis %= rank
    classes = relax.op.reshape(classes, [depth if d == axis else 1 for d in range(rank)])
    hit = relax.op.equal(relax.op.expand_dims(site.expr(0), axis), classes)
    return relax.op.where(hit, constant(on.reshape(())), constant(off.reshape(())))


CONVERTERS: dict[str, Convert] = {
    "ARG_MAX": arg_max,
    "ARG_MIN": arg_min,
    "CAST": cast,
    "CUMSUM": cumsum,
    "GELU": gelu,
    "LOCAL_RESPONSE_NORMALIZATION": local_response_normalization,
    "MAXIMUM": maximum,
    "MINIMUM": minimum,
    "ONE_HOT": one_hot,
    "PRELU": prelu,
    "SOFTMAX": softmax,
    "SQUARE": square,
    "SQUARED_DIFFERENCE": squared_difference,
    "TOPK_V2": top_k,
    **dict.fromkeys(("DIV", "FLOOR_DIV", "FLOOR_MOD"), quotient),
    **dict.fromkeys(("EQUAL", "NOT_EQUAL"), equality),
    **dict.fromkeys(("ELU", "L2_NORMALIZATION", "RELU_0_TO_1"), through_float),
}
