"""How single operators are quantized, in the words of TFLite's quantization specification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from assay.model.facts import Model, Operator, Tensor
from assay.model.macs import FILTER_OPERATORS, filter_operands, stored_constants
from assay.model.precision import arithmetic

Scheme = Literal[
    "none",
    "dynamic-range",
    "full-integer per-tensor",
    "full-integer per-axis",
    "16x8",
    "float16",
    "mixed",
]

_PLAIN: Mapping[str, Scheme] = {
    "fp32": "none",
    "dynamic-range": "dynamic-range",
    "float16": "float16",
    "int16x8": "16x8",
}


def schemes(model: Model) -> tuple[Scheme, ...]:
    """Return the quantization scheme of each operator, in their order.

    Full-integer operators are per-axis if their weights have a scale for each output channel; an
    operator without weights has one scale a tensor. What works on integers that stand for
    themselves (indices, shapes) is not quantized.
    """
    named = [(operator.name, operator.inputs, operator.outputs) for operator in model.operators]
    source = stored_constants(named, model.tensors)
    return tuple(_scheme(operator, model.tensors, source) for operator in model.operators)


def _scheme(operator: Operator, tensors: Sequence[Tensor], source: Mapping[int, int]) -> Scheme:
    precision = arithmetic(operator, tensors, source)
    if precision in _PLAIN:
        return _PLAIN[precision]
    if precision in ("int8", "uint8"):
        per_axis = operator.name in FILTER_OPERATORS and _is_per_axis(operator, tensors, source)
        return "full-integer per-axis" if per_axis else "full-integer per-tensor"
    ends = [tensors[index] for index in (*operator.inputs, *operator.outputs) if index >= 0]
    return "mixed" if any(tensor.quantization is not None for tensor in ends) else "none"


def _is_per_axis(operator: Operator, tensors: Sequence[Tensor], source: Mapping[int, int]) -> bool:
    _, kernel = filter_operands(operator.name, operator.inputs, tensors)
    quantization = tensors[source.get(kernel.index, kernel.index)].quantization
    return quantization is not None and quantization.per_axis
