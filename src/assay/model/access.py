"""What the tables of a TFLite file mean together: names of operators, values of constants."""

from __future__ import annotations

from assay.model.damage import shortened
from assay.model.enumerations import BUILTIN_OPERATORS
from assay.model.tables import Table


def operator_name(model: Table, operator: Table) -> str:
    """Return the builtin name, ``CUSTOM:<code>``, or ``BUILTIN_<n>`` for one that is too new."""
    code = model.operator_codes[operator.opcode_index]
    number = builtin_code(code)
    if number >= len(BUILTIN_OPERATORS):
        return f"BUILTIN_{number}"
    name = BUILTIN_OPERATORS[number]
    return f"CUSTOM:{code.custom_code}" if name == "CUSTOM" else name


def builtin_code(code: Table) -> int:
    """Return the number of an operator; old files hold it in a field of one byte only."""
    return int(max(code.builtin_code, code.deprecated_builtin_code))


def is_constant(model: Table, tensor: Table) -> bool:
    """Whether the file holds the value of a tensor."""
    if tensor.buffer == 0:  # the empty buffer, by convention
        return False
    buffer = model.buffers[tensor.buffer]
    return bool(len(buffer.data) > 0 or buffer.offset > 1)


def constant_bytes(model: Table, tensor: Table, data: bytes) -> memoryview:
    """Return the value of a constant tensor, which may also lie behind the FlatBuffer."""
    buffer = model.buffers[tensor.buffer]
    if len(buffer.data) > 0:
        return memoryview(buffer.data)
    return memoryview(data)[buffer.offset : buffer.offset + buffer.size]


def operator_label(index: int, name: str) -> str:
    """Return how an error speaks of an operator."""
    return f"operator {index} ({shortened(name) if name.startswith('CUSTOM:') else name})"
