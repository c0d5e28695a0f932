"""ONNX's element types as NumPy names."""

from __future__ import annotations

from functools import lru_cache

_NARROW = {"INT4": "int4", "UINT4": "uint4", "BFLOAT16": "bfloat16", "STRING": "string"}


@lru_cache(maxsize=1)
def _names() -> dict[int, str]:
    from onnx import TensorProto, helper

    names: dict[int, str] = {}
    for name, number in TensorProto.DataType.items():
        if name in _NARROW:
            names[number] = _NARROW[name]
        elif name != "UNDEFINED":
            names[number] = helper.tensor_dtype_to_np_dtype(number).name
    return names


def dtype_name(number: int) -> str:
    """Return the NumPy name of a ``TensorProto.DataType``; ``unknown`` for what has none."""
    return _names().get(number, "unknown")


def dtype_number(name: str) -> int:
    """Return the ``TensorProto.DataType`` of a name, 0 (undefined) for ``unknown``."""
    return next((number for number, known in _names().items() if known == name), 0)
