"""What the schema's generated classes leave to their callers: absent vectors, names, constants."""

from __future__ import annotations

from typing import Any

import tflite

from assay.model.damage import shortened

_BUILTIN: dict[int, str] = {
    code: name for name, code in vars(tflite.BuiltinOperator).items() if name.isupper()
}


def ints(vector: Any) -> tuple[int, ...]:
    """Return a vector as int; the generated accessors give 0 for one that is absent."""
    return () if isinstance(vector, int) else tuple(vector.tolist())


def text(value: bytes | None) -> str:
    """Return a string of the file, empty if absent."""
    return "" if value is None else str(value, "utf-8")


def operator_name(model: tflite.Model, operator: tflite.Operator) -> str:
    """Return the builtin name, ``CUSTOM:<code>``, or ``BUILTIN_<n>`` for one that is too new."""
    code = model.OperatorCodes(operator.OpcodeIndex())
    builtin = builtin_code(code)
    if builtin == tflite.BuiltinOperator.CUSTOM:
        return f"CUSTOM:{text(code.CustomCode())}"
    return _BUILTIN.get(builtin, f"BUILTIN_{builtin}")


def builtin_code(code: tflite.OperatorCode) -> int:
    """Return the number of an operator; old files hold it in a field of one byte only."""
    return int(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()))


def is_constant(model: tflite.Model, tensor: tflite.Tensor) -> bool:
    """Whether the file holds the value of a tensor."""
    if tensor.Buffer() == 0:  # the empty buffer, by convention
        return False
    buffer = model.Buffers(tensor.Buffer())
    return bool(buffer.DataLength() > 0 or buffer.Offset() > 1)


def constant_bytes(model: tflite.Model, tensor: tflite.Tensor, data: bytes) -> memoryview:
    """Return the value of a constant tensor, which may also lie behind the FlatBuffer."""
    buffer = model.Buffers(tensor.Buffer())
    if buffer.DataLength() > 0:
        return memoryview(buffer.DataAsNumpy())
    return memoryview(data)[buffer.Offset() : buffer.Offset() + buffer.Size()]


def operator_label(index: int, name: str) -> str:
    """Return how an error speaks of an operator."""
    return f"operator {index} ({shortened(name) if name.startswith('CUSTOM:') else name})"
