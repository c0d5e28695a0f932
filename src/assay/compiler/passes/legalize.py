"""Turn the operators that are left into kernels, with limits that let what is not a number pass.

TVM makes ``max(x, low)`` of a limit, and of that ``x > low ? x : low``, which is ``low`` for a NaN.
LiteRT's reference kernels keep the NaN. ``max(low, x)`` does too, and costs the same: of two
operands that do not compare, SSE's MAXPS takes the second.
"""

from __future__ import annotations

from typing import Any

from tvm import relax, te, tirx

from assay.compiler import tvm_api
from assay.compiler.kernels.builder import maximum, minimum


def legalize_ops() -> Any:
    """Return TVM's LegalizeOps with these limits for floating-point tensors."""
    return relax.transform.LegalizeOps({"relax.nn.relu": _relu, "relax.clip": _clip})


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
