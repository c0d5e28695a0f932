"""Facts of a Relax graph whose operators still have names and layouts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from assay.compiler import tvm_api
from assay.compiler.remarks.facts import OpFact

HEAVY = ("nn.conv2d", "nn.conv2d_transpose", "matmul")


def read_graph(mod: Any) -> tuple[OpFact, ...]:
    """Return the operators of ``main`` in order; calls of kernels are left out."""
    made_by = dict(_bindings(mod["main"]))
    calls = tvm_api.op_calls(mod["main"])
    return tuple(_fact(call, made_by) for call in calls if tvm_api.op_name(call) not in _CALLS)


_CALLS = ("", "call_tir", "call_tir_inplace")
_MOVES = ("permute_dims", "reshape")


def _fact(call: Any, made_by: dict[Any, Any]) -> OpFact:
    name = tvm_api.op_name(call)
    data = call.args[0] if call.args else None
    heavy = name in HEAVY
    return OpFact(
        name=name,
        kind=_kind(call, name),
        heavy=heavy,
        layout=_layout(call),
        dtype=str(getattr(getattr(data, "ty", None), "dtype", "")),
        source=_source(data, made_by, ()),
        through=_source(data, made_by, _MOVES),
        at_input=_at_the_input(data, made_by),
        constant_data=tvm_api.is_constant(data),
        constant_weights=heavy and tvm_api.is_constant(call.args[1]),
        weights_from=_source(call.args[1], made_by, _MOVES) if heavy else "",
    )


def _bindings(function: Any) -> Iterator[tuple[Any, Any]]:
    for block in function.body.blocks:
        for binding in block.bindings:
            yield binding.var, binding.value


def _layout(call: Any) -> str:
    return str(getattr(call.attrs, "data_layout", ""))


def _kind(call: Any, name: str) -> str:
    if name == "matmul":
        return "dense"
    if name not in HEAVY:
        return name.removeprefix("nn.")
    groups = int(call.attrs.groups)
    channels = tvm_api.static_shape(call.args[0])[_layout(call).index("C")]
    depthwise = "depthwise_" if groups == channels and groups > 1 else ""
    return f"{depthwise}{name.removeprefix('nn.')} {_layout(call)}"


def _source(expr: Any, made_by: dict[Any, Any], through: tuple[str, ...]) -> str:
    """Return the name of the operator that made a tensor, looking through some."""
    made = _call(expr, made_by)
    while made is not None and tvm_api.op_name(made) in through:
        made = _call(made.args[0], made_by)
    return "" if made is None else tvm_api.op_name(made)


def _at_the_input(expr: Any, made_by: dict[Any, Any]) -> bool:
    made = _call(expr, made_by)
    while made is not None and tvm_api.op_name(made) in ("quantize", "dequantize"):
        expr = made.args[0]
        made = _call(expr, made_by)
    return made is None and not tvm_api.is_constant(expr)


def _call(expr: Any, made_by: dict[Any, Any]) -> Any:
    import tvm

    made = made_by.get(expr)
    return made if isinstance(made, tvm.ir.Call) else None
