"""Whether builtin operators have as many operands as they take.

LiteRT checks most of this itself, but not in all of the code that its delegates run before its
kernels do: there a missing operand ends the process. Source of the numbers: TFLite's kernels.
"""

from __future__ import annotations

from assay.model.damage import Damage
from assay.model.options import builtin_options
from assay.model.tables import Table

_ANY = 1 << 31

# fmt: off
_BY_INPUTS: dict[tuple[int, int], tuple[str, ...]] = {
    (0, 0): ("CALL_ONCE", "VAR_HANDLE", "HASHTABLE"),
    (1, 1): (
        "ABS", "AVERAGE_POOL_2D", "BITCAST", "BUCKETIZE", "CAST", "CEIL", "COMPLEX_ABS", "COS",
        "DENSIFY", "DEPTH_TO_SPACE", "DEQUANTIZE", "ELU", "EXP", "FAKE_QUANT", "FLOOR", "GELU",
        "HARD_SWISH", "IMAG", "L2_NORMALIZATION", "L2_POOL_2D", "LEAKY_RELU", "LOG", "LOGICAL_NOT",
        "LOGISTIC", "LOG_SOFTMAX", "LOCAL_RESPONSE_NORMALIZATION", "MATRIX_DIAG", "MAX_POOL_2D",
        "NEG", "QUANTIZE", "RANK", "READ_VARIABLE", "REAL", "RELU", "RELU6", "RELU_0_TO_1",
        "RELU_N1_TO_1", "ROUND", "RSQRT", "SHAPE", "SIGN", "SIN", "SOFTMAX", "SPACE_TO_DEPTH",
        "SQRT", "SQUARE", "SQUEEZE", "TANH", "UNIQUE", "UNPACK", "WHERE", "ZEROS_LIKE",
    ),
    (1, 2): ("RESHAPE",),
    (2, 2): (
        "ADD", "ARG_MAX", "ARG_MIN", "ASSIGN_VARIABLE", "ATAN2", "BATCH_MATMUL", "BITWISE_XOR",
        "BROADCAST_ARGS", "BROADCAST_TO", "CUMSUM", "DIV", "EMBEDDING_LOOKUP", "EQUAL",
        "EXPAND_DIMS", "FILL", "FLOOR_DIV", "FLOOR_MOD", "GATHER", "GATHER_ND", "GREATER",
        "GREATER_EQUAL", "LESS", "LESS_EQUAL", "LOGICAL_AND", "LOGICAL_OR", "MATRIX_SET_DIAG",
        "MAXIMUM", "MEAN", "MINIMUM", "MIRROR_PAD", "MUL", "MULTINOMIAL", "NOT_EQUAL", "PAD", "POW",
        "PRELU", "REDUCE_ALL", "REDUCE_ANY", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD",
        "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "REVERSE_SEQUENCE", "REVERSE_V2", "RFFT2D",
        "RIGHT_SHIFT", "SEGMENT_SUM", "SPLIT", "SQUARED_DIFFERENCE", "SUB", "SUM", "TILE",
        "TOPK_V2", "TRANSPOSE",
    ),
    (2, 3): ("CONV_2D", "CONV_3D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"),
    (3, 3): (
        "BATCH_TO_SPACE_ND", "DILATE", "DYNAMIC_UPDATE_SLICE", "PADV2", "RANGE", "SCATTER_ND",
        "SELECT", "SELECT_V2", "SLICE", "SPACE_TO_BATCH_ND", "SPLIT_V", "UNSORTED_SEGMENT_MAX",
        "UNSORTED_SEGMENT_MIN", "UNSORTED_SEGMENT_PROD", "UNSORTED_SEGMENT_SUM",
    ),
    (3, 4): ("CONV_3D_TRANSPOSE", "TRANSPOSE_CONV"),
    (4, 4): ("ONE_HOT", "SPARSE_TO_DENSE", "STRIDED_SLICE"),
    (5, 5): ("NON_MAX_SUPPRESSION_V4",),
    (6, 6): ("NON_MAX_SUPPRESSION_V5",),
    (1, _ANY): ("ADD_N", "CONCATENATION", "PACK"),
}
# fmt: on

INPUTS = {name: limits for limits, names in _BY_INPUTS.items() for name in names}
"""Operator -> the least and the most inputs it takes."""
_OUTPUTS: dict[str, tuple[int, int]] = {
    "ASSIGN_VARIABLE": (0, 0),
    "CALL_ONCE": (0, 0),
    "FULLY_CONNECTED": (1, 2),  # the second is room for shuffled weights
    "NON_MAX_SUPPRESSION_V4": (2, 2),
    "NON_MAX_SUPPRESSION_V5": (3, 3),
    "SPLIT": (1, _ANY),
    "SPLIT_V": (1, _ANY),
    "TOPK_V2": (2, 2),
    "UNIQUE": (2, 2),
    "UNPACK": (1, _ANY),
}
_WITH_BIAS = frozenset(_BY_INPUTS[2, 3] + _BY_INPUTS[3, 4])
_RECURRENT = frozenset(
    {
        "BIDIRECTIONAL_SEQUENCE_LSTM",
        "BIDIRECTIONAL_SEQUENCE_RNN",
        "LSTM",
        "RNN",
        "SVDF",
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        "UNIDIRECTIONAL_SEQUENCE_RNN",
    }
)

# The option that repeats how many operands there are, and on which side they are counted.
_COUNTS = {
    "PACK": "values_count",
    "SPLIT": "num_splits",
    "SPLIT_V": "num_splits",
    "UNPACK": "num",
}


def check_operands(name: str, operator: Table, label: str) -> None:
    """Raise Damage unless an operator has all of its operands, as far as it is known here.

    A bias can be left out, many operands of a recurrent cell, and any of a custom operator.
    """
    inputs, outputs = tuple(operator.inputs), tuple(operator.outputs)
    if name in INPUTS:
        _check_count(label, "inputs", len(inputs), INPUTS[name])
        _check_count(label, "outputs", len(outputs), _OUTPUTS.get(name, (1, 1)))
    if name not in _RECURRENT and not name.startswith("CUSTOM:"):
        needed = inputs[: INPUTS[name][0]] if name in _WITH_BIAS else inputs
        if -1 in needed:
            raise Damage(f"{label} lacks its input {needed.index(-1)}")
    if name in _COUNTS:
        declared = builtin_options(name, operator).get(_COUNTS[name])
        actual = len(inputs) if name == "PACK" else len(outputs)
        if declared != actual:
            raise Damage(f"{label} says {_COUNTS[name]} is {declared}, and has {actual}")


def _check_count(label: str, side: str, count: int, limits: tuple[int, int]) -> None:
    low, high = limits
    if not low <= count <= high:
        if low == high:
            wanted = str(low)
        else:
            wanted = f"{low} or more" if high == _ANY else f"{low} to {high}"
        raise Damage(f"{label} has {count} {side} instead of {wanted}")
