"""Whether an operator refers to a known code and to tensors that exist."""

from __future__ import annotations

from assay.model.access import builtin_code, operator_label, operator_name
from assay.model.checks.operands import check_operands
from assay.model.checks.scales import check_scales
from assay.model.damage import Damage
from assay.model.options import OPTIONS
from assay.model.schema import UNIONS
from assay.model.tables import Table


def check_operator(model: Table, graph: Table, index: int, file_size: int) -> None:
    """Raise Damage unless code, options and tensor indices of an operator are in range."""
    operator = graph.operators[index]
    if operator.opcode_index >= len(model.operator_codes):
        raise Damage(f"operator {index} has code {operator.opcode_index}, which is not listed")
    code = model.operator_codes[operator.opcode_index]
    if builtin_code(code) < 0:
        raise Damage(f"operator {index} has the negative number {builtin_code(code)}")
    name = operator_name(model, operator)
    if name == "CUSTOM:":
        raise Damage(f"operator {index} is a custom operator without a name")
    label = operator_label(index, name)
    _check_options(operator, label, name)
    end = operator.large_custom_options_offset + operator.large_custom_options_size
    if operator.large_custom_options_offset > 1 and end > file_size:
        raise Damage(f"the options of {label} lie behind the end of the file")
    tensors = len(graph.tensors)
    optional = (*operator.inputs, *operator.intermediates)
    if not all(-1 <= tensor < tensors for tensor in optional):
        raise Damage(f"{label} reads a tensor that does not exist")
    if not all(0 <= tensor < tensors for tensor in operator.outputs):
        raise Damage(f"{label} writes a tensor that does not exist")
    check_operands(name, operator, label)
    check_scales(name, operator, graph, label)


def _check_options(operator: Table, label: str, name: str) -> None:
    kind = operator.builtin_options_type
    if name in OPTIONS and kind and UNIONS["BuiltinOptions"].get(kind) != OPTIONS[name][0]:
        raise Damage(f"{label} carries the options of another operator")
