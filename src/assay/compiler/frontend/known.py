"""Which tensors of a graph are known when it is compiled. No TVM here."""

from __future__ import annotations

from assay.model.facts import Model, Operator, Tensor

SHAPE_ONLY = frozenset({"SHAPE", "RANK"})
"""Operators that look at the shape of their operand, not at its values."""

_FOLDABLE = """
SHAPE RANK ABS ADD BROADCAST_ARGS BROADCAST_TO CAST CEIL CONCATENATION DEQUANTIZE DIV EQUAL
EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD GATHER GREATER GREATER_EQUAL LESS LESS_EQUAL
LOGICAL_AND LOGICAL_NOT LOGICAL_OR MAXIMUM MINIMUM MUL NEG NOT_EQUAL PACK RANGE REDUCE_MAX
REDUCE_MIN REDUCE_PROD RESHAPE ROUND SELECT SELECT_V2 SLICE SPLIT SQUEEZE STRIDED_SLICE SUB
SUM TILE TRANSPOSE UNPACK ZEROS_LIKE
"""

FOLDABLE = frozenset(_FOLDABLE.split())
"""What ``folding.fold`` computes. It needs NumPy; telling what compiles does without."""

_QUANTIZED = frozenset({"int8", "uint8", "int16", "int4"})


def is_quantized(tensor: Tensor) -> bool:
    """Whether a tensor holds quantized values: a small integer type that carries a scale."""
    return tensor.quantization is not None and tensor.dtype in _QUANTIZED


def known_tensors(model: Model) -> frozenset[int]:
    """Return the tensors whose value depends on constants and shapes only.

    Shapes are static, so SHAPE and RANK are known whatever they are taken of; other operators are
    if all that they read is known and not quantized.
    """
    known = {tensor.index for tensor in model.tensors if tensor.is_constant}
    for operator in model.operators:
        if operator.name in SHAPE_ONLY or (
            foldable(operator)
            and all(
                index in known and not is_quantized(model.tensors[index])
                for index in operator.inputs
            )
        ):
            known.update(operator.outputs)
    return frozenset(known)


def foldable(operator: Operator) -> bool:
    """Whether an operator can be computed beforehand; one with a fused activation is not."""
    return operator.name in FOLDABLE and operator.attributes.get("activation", "NONE") == "NONE"
