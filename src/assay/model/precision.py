"""Which arithmetic a model does, told from its types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from assay.model.facts import Operator, Precision, Tensor
from assay.model.macs import FILTER_OPERATORS, filter_operands

# They convert, move or describe values: their types say nothing about the arithmetic.
# fmt: off
_NEUTRAL = frozenset({
    "QUANTIZE", "DEQUANTIZE", "CAST", "SHAPE", "RANK", "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "PACK",
    "UNPACK", "SLICE", "STRIDED_SLICE", "GATHER", "TRANSPOSE", "CONCATENATION", "SPLIT", "PAD",
    "PADV2",
})
# fmt: on

# (type of the activation, type of the weights as stored)
_OF_TYPES: dict[tuple[str, str], Precision] = {
    ("float32", "float32"): "fp32",
    ("int8", "int8"): "int8",
    ("uint8", "uint8"): "uint8",
    ("int16", "int8"): "int16x8",
    ("int16", "int16"): "int16x8",
    ("float16", "float16"): "float16",
    ("float32", "float16"): "float16",
    ("float32", "int8"): "dynamic-range",
    ("float32", "uint8"): "dynamic-range",
    ("float32", "int4"): "dynamic-range",
}

_WITH_SMALL_FLOATS: dict[frozenset[Precision], Precision] = {
    frozenset({"fp32", "dynamic-range"}): "dynamic-range",
    frozenset({"fp32", "float16"}): "float16",
}


def classify(
    operators: Sequence[Operator], tensors: Sequence[Tensor], source: Mapping[int, int]
) -> Precision:
    """Return the precision that all operators with multiply-accumulates share, else ``mixed``.

    An operator is told by the types of its activation and of its weights, which count with the
    type they are stored in (``source``: see :func:`assay.model.macs.stored_constants`). In a graph
    without multiply-accumulates the other operators decide, and those that only move values last.
    A converter leaves small weights in float32, so float32 operators beside dynamic-range or
    float16 ones do not make a mixture. Types outside of these schemes are ``mixed``, too.
    """
    deciding = [op for op in operators if op.name in FILTER_OPERATORS]
    deciding = deciding or [op for op in operators if op.name not in _NEUTRAL] or list(operators)
    found = frozenset(arithmetic(op, tensors, source) for op in deciding)
    if len(found) == 1:
        return next(iter(found))
    return _WITH_SMALL_FLOATS.get(found, "mixed")


def arithmetic(
    operator: Operator, tensors: Sequence[Tensor], source: Mapping[int, int]
) -> Precision:
    """Return the precision of one operator; see :func:`classify`."""
    if operator.name in FILTER_OPERATORS:
        activation, kernel = filter_operands(operator.name, operator.inputs, tensors)
        stored = tensors[source.get(kernel.index, kernel.index)]
        return _OF_TYPES.get((activation.dtype, stored.dtype), "mixed")
    # A condition or an index may come first.
    for index in (*operator.inputs, *operator.outputs):
        if index >= 0 and index not in source:
            dtype = tensors[index].dtype
            if (dtype, dtype) in _OF_TYPES:
                return _OF_TYPES[dtype, dtype]
    return "mixed"
