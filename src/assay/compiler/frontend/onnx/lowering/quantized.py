"""Quantized operators in their QDQ form, which runs in integers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from assay.compiler.frontend.onnx.lowering.site import Site

_UINT8_STEPS = 255.0


def _qlinear_conv(site: Site) -> None:
    """x, scale, zero point, w, scale, zero point, y's scale and zero point, bias."""
    operands = [site.dequantized(0, 1), site.dequantized(3, 0)]
    if bias := site.operand(8):
        scale = site.add("Mul", site.operand(1), site.operand(4))
        operands.append(site.add("DequantizeLinear", bias, scale, axis=0))
    real = site.same("Conv", *operands)
    site.add("QuantizeLinear", real, site.operand(6), site.operand(7), into=site.result(0))


def _qlinear_matmul(site: Site) -> None:
    """a, scale, zero point, b, scale, zero point, y's scale and zero point."""
    real = site.add("MatMul", site.dequantized(0, -2), site.dequantized(3, -1))
    site.add("QuantizeLinear", real, site.operand(6), site.operand(7), into=site.result(0))


def _conv_integer(site: Site) -> None:
    """x, w, and their zero points: sums are exact below 2**24."""
    operands = []
    for position in (0, 1):
        value = site.add("Cast", site.operand(position), to=1)
        zero_point = site.operand(position + 2)
        if zero_point:
            shape = site.constant(np.array([-1, 1, 1, 1], np.int64))
            offset = site.add("Cast", zero_point, to=1)
            value = site.add("Sub", value, site.add("Reshape", offset, shape))
        operands.append(value)
    site.add("Cast", site.same("Conv", *operands), into=site.result(0), to=6)


def _dynamic_quantize(site: Site) -> None:
    """Scale and zero point of a tensor by its range, which takes in 0, and its values in uint8."""
    x, outputs = site.operand(0), [*site.node.output, "", ""]
    zero, top = site.constant(np.float32(0)), site.constant(np.float32(_UINT8_STEPS))
    high = site.add("Max", site.add("ReduceMax", x, keepdims=0), zero)
    low = site.add("Min", site.add("ReduceMin", x, keepdims=0), zero)
    scale = site.add("Div", site.add("Sub", high, low), top, into=outputs[1])
    middle = site.add("Round", site.add("Neg", site.add("Div", low, scale)))
    middle = site.add("Clip", middle, zero, top)
    steps = site.add("Add", site.add("Round", site.add("Div", x, scale)), middle)
    site.add("Cast", site.add("Clip", steps, zero, top), into=outputs[0], to=2)
    if outputs[2]:
        site.add("Cast", middle, into=outputs[2], to=2)


LOWERED: dict[str, Callable[[Site], None]] = {
    "ConvInteger": _conv_integer,
    "DynamicQuantizeLinear": _dynamic_quantize,
    "QLinearConv": _qlinear_conv,
    "QLinearMatMul": _qlinear_matmul,
}
