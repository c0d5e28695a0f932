"""What the graph says about its own speed, a log line a fact.

Read off the Relax graph just before operators become loops, when layouts and operators still
have names. The lines repeat for equal facts on purpose: their unique ones are the summary.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from assay.compiler import tvm_api
from assay.compiler.config import Config

_HEAVY = ("nn.conv2d", "nn.conv2d_transpose", "matmul")


def graph_findings(mod: Any) -> list[str]:
    """Return a line for each layout conversion, quantized layer in float, and widened weight.

    To be read before kernels are bound: afterwards their operators are gone.
    """
    calls = tvm_api.op_calls(mod["main"])
    made_by = dict(_bindings(mod["main"]))
    return [*_layout_lines(calls, made_by), *_precision_lines(calls, made_by)]


def loop_findings(mod: Any, config: Config) -> list[str]:
    """Return a line for each heavy operator that no kernel of assay's was bound to."""
    calls = tvm_api.op_calls(mod["main"])
    return [_kernel_line(call, config) for call in calls if tvm_api.op_name(call) in _HEAVY]


def _bindings(function: Any) -> Iterator[tuple[Any, Any]]:
    for block in function.body.blocks:
        for binding in block.bindings:
            yield binding.var, binding.value


def _kernel_line(call: Any, config: Config) -> str:
    stock = config.pipeline == "stock" or config.opt_level < 2
    how = "plain loops, neither vectorized nor parallel" if stock else "vectorized loops"
    return f"[schedule] {_kind(call)} runs as {how}; there is no register-tiled kernel for it here"


def _kind(call: Any) -> str:
    name = tvm_api.op_name(call)
    if name == "matmul":
        return "dense"
    groups = int(call.attrs.groups)
    layout = str(call.attrs.data_layout)
    channels = tvm_api.static_shape(call.args[0])[layout.index("C")]
    plain = name.removeprefix("nn.")
    return f"{'depthwise_' if groups == channels and groups > 1 else ''}{plain} {layout}"


def _layout_lines(calls: list[Any], made_by: dict[Any, Any]) -> Iterator[str]:
    for call in calls:
        if tvm_api.op_name(call) != "permute_dims":
            continue
        if tvm_api.is_constant(call.args[0]):
            yield "[layout] permute_dims of a constant"
        elif _at_the_input(call.args[0], made_by):
            yield "[layout] permute_dims at the network's input"
        else:
            source = made_by[call.args[0]]
            yield f"[layout] permute_dims inside the network, after {tvm_api.op_name(source)}"


def _at_the_input(expr: Any, made_by: dict[Any, Any]) -> bool:
    """Tell whether nothing but quantize or dequantize lies between a model input and the tensor."""
    call = made_by.get(expr)
    while call is not None and tvm_api.op_name(call) in ("quantize", "dequantize"):
        expr = call.args[0]
        call = made_by.get(expr)
    return call is None and not tvm_api.is_constant(expr)


def _precision_lines(calls: list[Any], made_by: dict[Any, Any]) -> Iterator[str]:
    for call in calls:
        name = tvm_api.op_name(call)
        if name in _HEAVY and _comes_from(call.args[0], made_by, "dequantize"):
            yield f"[precision] {_kind(call)} of a quantized model runs in {_dtype(call.args[0])}"
            if tvm_api.is_constant(call.args[1]):
                yield f"[precision] INT8 weights of {_kind(call)} are stored as FP32"


def _comes_from(expr: Any, made_by: dict[Any, Any], op: str) -> bool:
    """Tell whether ``op`` made the tensor, looking through layout changes and reshapes."""
    call = made_by.get(expr)
    while call is not None and tvm_api.op_name(call) in ("permute_dims", "reshape"):
        call = made_by.get(call.args[0])
    return call is not None and tvm_api.op_name(call) == op


def _dtype(expr: Any) -> str:
    return str(expr.ty.dtype)
