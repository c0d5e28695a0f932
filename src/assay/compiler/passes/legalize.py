"""Turn the operators that are left into kernels: TVM's, but for limits and dequantized numbers.

TVM makes ``max(x, low)`` of a limit, and of that ``x > low ? x : low``, which is ``low`` for a NaN.
LiteRT's reference kernels keep the NaN. ``max(low, x)`` does too, and costs the same: of two
operands that do not compare, SSE's MAXPS takes the second.

LLVM makes one rounding of a product and a sum that use each other. A dequantized number is rounded
by itself, so that a kernel gives the same whether it was fused with others or not.
"""

from __future__ import annotations

from typing import Any

from tvm import relax, te, tirx

from assay.compiler import tvm_api
from assay.compiler.kernels.builder import maximum, minimum
from assay.compiler.kernels.int8.vectors import rounded


def legalize_ops() -> Any:
    """Return TVM's LegalizeOps with these limits and products for floating-point tensors."""
    own = {"relax.nn.relu": _relu, "relax.clip": _clip, "relax.dequantize": _dequantize}
    return relax.transform.LegalizeOps(own)


def _relu(builder: Any, call: Any) -> Any:
    return _limited(builder, call, "relu", 0.0)


def _clip(builder: Any, call: Any) -> Any:
    return _limited(builder, call, "tir_clip", *map(tvm_api.scalar, call.args[1:]))


def _limited(builder: Any, call: Any, name: str, low: float, high: float | None = None) -> Any:
    x = call.args[0]
    if not str(x.ty.dtype).startswith("float"):
        return call.op.get_attr("FLegalize")(builder, call)

    def limited(tensor: Any) -> Any:
        def element(*indices: Any) -> Any:
            value = maximum(tirx.const(low, tensor.dtype), tensor(*indices))
            return value if high is None else minimum(tirx.const(high, tensor.dtype), value)

        return te.compute(tensor.shape, element)

    return builder.call_te(limited, x, primfunc_name_hint=name)


def _dequantize(builder: Any, call: Any) -> Any:
    """Return ``(x - zero point) * scale``; numbers with several scales feed layers, not sums."""
    x, *parameters = call.args
    scale, zero_point = (_number(each) for each in parameters)
    real = str(call.attrs.out_dtype) == "float32" and "int" in str(x.ty.dtype)
    if scale is None or zero_point is None or not real:
        return call.op.get_attr("FLegalize")(builder, call)

    def dequantized(tensor: Any) -> Any:
        def element(*indices: Any) -> Any:
            steps = tensor(*indices).astype("int32") - tirx.const(int(zero_point), "int32")
            value = steps.astype("float32") * tirx.const(scale, "float32")
            return rounded(value, 1)

        return te.compute(tensor.shape, element)

    return builder.call_te(dequantized, x, primfunc_name_hint="dequantize")


def _number(expr: Any) -> float | None:
    value = tvm_api.constant_value(expr)
    return float(value.item()) if value is not None and value.size == 1 else None
