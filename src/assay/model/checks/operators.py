"""Whether an operator refers to a known code and to tensors that exist."""

from __future__ import annotations

import tflite

from assay.model.access import builtin_code, ints, operator_label, operator_name
from assay.model.checks.operands import check_operands
from assay.model.checks.scales import check_scales
from assay.model.damage import Damage
from assay.model.options import OPTIONS


def check_operator(model: tflite.Model, graph: tflite.SubGraph, index: int, file_size: int) -> None:
    """Raise Damage unless code, options and tensor indices of an operator are in range."""
    operator = graph.Operators(index)
    if operator.OpcodeIndex() >= model.OperatorCodesLength():
        raise Damage(f"operator {index} has code {operator.OpcodeIndex()}, which is not listed")
    code = model.OperatorCodes(operator.OpcodeIndex())
    if builtin_code(code) < 0:
        raise Damage(f"operator {index} has the negative number {builtin_code(code)}")
    name = operator_name(model, operator)
    if name == "CUSTOM:":
        raise Damage(f"operator {index} is a custom operator without a name")
    label = operator_label(index, name)
    _check_options(operator, label, name)
    end = operator.LargeCustomOptionsOffset() + operator.LargeCustomOptionsSize()
    if operator.LargeCustomOptionsOffset() > 1 and end > file_size:
        raise Damage(f"the options of {label} lie behind the end of the file")
    tensors = graph.TensorsLength()
    optional = (*ints(operator.InputsAsNumpy()), *ints(operator.IntermediatesAsNumpy()))
    if not all(-1 <= tensor < tensors for tensor in optional):
        raise Damage(f"{label} reads a tensor that does not exist")
    if not all(0 <= tensor < tensors for tensor in ints(operator.OutputsAsNumpy())):
        raise Damage(f"{label} writes a tensor that does not exist")
    check_operands(name, operator, label)
    check_scales(name, operator, graph, label)


def _check_options(operator: tflite.Operator, label: str, name: str) -> None:
    kind = operator.BuiltinOptionsType()
    if name not in OPTIONS or kind == tflite.BuiltinOptions.NONE:
        return
    if kind != getattr(tflite.BuiltinOptions, OPTIONS[name][0]):
        raise Damage(f"{label} carries the options of another operator")
