"""Whether an operator on quantized values has scales that it can compute with.

Source: the kernels of TFLite, which end the process where a scale is missing or does not fit.
"""

from __future__ import annotations

from assay.model.damage import Damage
from assay.model.dtypes import DTYPES, FLOAT_DTYPES
from assay.model.macs import FILTER_OPERATORS
from assay.model.tables import Table

# Operators that compute with integers as quantized values. Others move them, or compute with them
# as they are, and need no parameters.
# fmt: off
_ARITHMETIC = frozenset({
    "ADD", "BATCH_MATMUL", "CONV_2D", "CONV_3D", "DEPTHWISE_CONV_2D", "DEQUANTIZE", "DIV", "ELU",
    "EXP", "FULLY_CONNECTED", "GELU", "HARD_SWISH", "L2_NORMALIZATION", "LEAKY_RELU", "LOG_SOFTMAX",
    "LOGISTIC", "MUL", "PRELU", "QUANTIZE", "RSQRT", "SOFTMAX", "SQUARED_DIFFERENCE", "SUB", "TANH",
    "TRANSPOSE_CONV",
})
# fmt: on

_PER_AXIS = frozenset({*FILTER_OPERATORS, "DEQUANTIZE", "QUANTIZE"})
_BYTES = frozenset({"int8", "uint8"})
_NEED_SCALE = {"SUB": _BYTES | {"int16"}}  # sums and products of plain int16 do exist

# A sum shifts its inputs up by that many bits, less one, before it scales them (add.cc); a
# difference is squared together with its scale (squared_difference.cc).
_SUM_BITS = {"int8": 19, "uint8": 19, "int16": 14}
_SQUARE_BITS = 12


def check_scales(name: str, operator: Table, graph: Table, label: str) -> None:
    """Raise Damage if quantized values lack a scale, or that of a sum is far finer than theirs."""
    if name not in _ARITHMETIC:
        return
    inputs = [index for index in operator.inputs if index >= 0]
    outputs = operator.outputs
    scales: dict[int, float] = {}
    for index in (*inputs, *outputs):
        tensor = graph.tensors[index]
        table = tensor.quantization
        if DTYPES[tensor.type] in FLOAT_DTYPES:
            continue
        if table is not None and len(table.scale) > 0:
            scales[index] = float(table.scale[0])
            if len(table.scale) > 1 and name not in _PER_AXIS:
                raise Damage(f"{label} cannot compute with tensor {index} of several scales")
        elif DTYPES[tensor.type] in _NEED_SCALE.get(name, _BYTES):
            raise Damage(f"{label} computes with tensor {index}, which lacks its scale")
    dtype = DTYPES[graph.tensors[outputs[0]].type]
    if dtype in _SUM_BITS and all(index in scales for index in (*inputs, outputs[0])):
        _check_ratio(name, label, dtype, max(scales[i] for i in inputs), scales[outputs[0]])


def _check_ratio(name: str, label: str, dtype: str, coarsest: float, result: float) -> None:
    too_fine = False
    if name in ("ADD", "SUB"):
        too_fine = coarsest / result >= 2 ** _SUM_BITS[dtype]
    elif name == "SQUARED_DIFFERENCE":
        too_fine = coarsest**2 / result >= 2**_SQUARE_BITS
    if too_fine:
        raise Damage(f"{label} takes values of scale {coarsest:.3g} to a scale of {result:.3g}")
