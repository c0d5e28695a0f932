"""Which operators of an ONNX file have operands in a type that does not compile. No TVM here."""

from __future__ import annotations

from typing import Any

from assay.model.facts import Model, Operator

_NOWHERE = ("bfloat16", "string", "complex", "float8")
"""Beginnings of types that no build can hold: its tensors are NumPy's, and hold numbers."""

_LACKING = {
    "float16": "Acos Acosh Asin Asinh Atan Cosh Elu GridSample LRN RoiAlign Selu Sinh "
    "ThresholdedRelu",
    "float64": "BatchNormalization Conv ConvTranspose Cosh Elu InstanceNormalization LRN "
    "LayerNormalization Selu Sinh ThresholdedRelu",
    **dict.fromkeys(("int16", "uint16", "uint32", "uint64"), "TopK"),
}
NO_KERNEL = {dtype: frozenset(names.split()) for dtype, names in _LACKING.items()}
"""Type -> operators that ONNX allows to have it as first operand, but no kernel computes in."""

_IN_ONNX = {"float32": "float", "float64": "double"}


def wrong_types(model: Model) -> dict[int, str]:
    """Return why operators cannot be compiled in the types that they have, by operator index."""
    found = {operator.index: _reason(operator, model) for operator in model.operators}
    return {index: why for index, why in found.items() if why}


def _reason(operator: Operator, model: Model) -> str:
    ends = [model.tensors[index] for index in (*operator.inputs, *operator.outputs) if index >= 0]
    for tensor in ends:
        if tensor.dtype.startswith(_NOWHERE):
            return f"{tensor.name!r} is {tensor.dtype}, which no build can hold"
    schema = _schema(operator.name, model.version)
    if schema is None:
        return ""
    for position, index in enumerate(operator.inputs):
        dtype = model.tensors[index].dtype if index >= 0 else "unknown"
        if dtype == "unknown" or not schema.inputs:
            continue
        allowed = schema.inputs[min(position, len(schema.inputs) - 1)].types
        if f"tensor({_IN_ONNX.get(dtype, dtype)})" not in allowed:
            return f"{model.tensors[index].name!r} is {dtype}, which ONNX does not allow there"
        if position == 0 and operator.name in NO_KERNEL.get(dtype, ()):
            return f"{model.tensors[index].name!r} is {dtype}, which no kernel computes in"
    return ""


def _schema(name: str, opset: int) -> Any:
    """Return the definition of an operator of ONNX itself; None if there is no such."""
    from onnx import defs

    try:
        return defs.get_schema(name, opset, "")
    except defs.SchemaError:
        return None
