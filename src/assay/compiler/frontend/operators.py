"""Which operators compile, in which types: the table behind checks, documentation and tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

Scheme = Literal["fp32", "int8", "uint8", "int16", "dynamic-range", "integer"]
"""The arithmetic of one operator, told by the operand that carries its data.

``fp32``: float32; ``int8``, ``uint8``, ``int16``: quantized; ``dynamic-range``: float32 with
quantized weights; ``integer``: int32, int64 or bool that carry no scale.
"""

SCHEMES: tuple[Scheme, ...] = get_args(Scheme)


@dataclass(frozen=True)
class Entry:
    """What compiles of one operator.

    ``data`` is the position of the operand whose type tells the scheme, -1 for the output.
    ``known`` are operands, by position, that have to be constants or follow from shapes.
    ``moves`` tells that values are moved and nothing else, so that small integers need no scale.
    """

    schemes: tuple[Scheme, ...]
    data: int = 0
    known: Mapping[int, str] = field(default_factory=dict)
    moves: bool = False


def _entries(
    names: str,
    schemes: str,
    data: int = 0,
    known: Mapping[int, str] | None = None,
    moves: bool = False,
) -> dict[str, Entry]:
    """Return the same entry for several operators; names and schemes are separated by blanks."""
    chosen = tuple(scheme for scheme in SCHEMES if scheme in schemes.split())
    return {name: Entry(chosen, data, known or {}, moves) for name in names.split()}


def _moving(names: str, data: int = 0, known: Mapping[int, str] | None = None) -> dict[str, Entry]:
    return _entries(names, _ANY, data, known, moves=True)


_ANY = "fp32 int8 uint8 int16 integer"
_REAL = "fp32 int8 uint8 int16"
_AXIS = {1: "axis"}

OPERATORS: dict[str, Entry] = {
    # products
    **_entries("CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED", f"{_REAL} dynamic-range"),
    **_entries("TRANSPOSE_CONV", f"{_REAL} dynamic-range", 2, {0: "output shape", 3: "bias"}),
    **_entries("BATCH_MATMUL", "fp32 int8 int16 dynamic-range"),
    **_entries("CONV_3D", "fp32"),
    # pooling and resizing
    **_entries("AVERAGE_POOL_2D MAX_POOL_2D", _REAL),
    **_entries("L2_POOL_2D", "fp32"),
    **_entries("RESIZE_BILINEAR", "fp32 int8 uint8", known={1: "size"}),
    **_entries("RESIZE_NEAREST_NEIGHBOR", _REAL, known={1: "size"}),
    # element by element
    **_entries("ADD SUB MUL", f"{_REAL} integer"),
    **_entries("DIV", "fp32 int8 uint8 integer"),
    **_entries("MAXIMUM MINIMUM", _ANY),
    **_entries("SQUARED_DIFFERENCE", "fp32 int8 integer"),
    **_entries("FLOOR_DIV FLOOR_MOD", "fp32 integer"),
    **_entries("ADD_N", "fp32 integer"),
    **_entries("EQUAL NOT_EQUAL LESS LESS_EQUAL GREATER GREATER_EQUAL", _ANY),
    **_entries("BITWISE_XOR RIGHT_SHIFT", "integer"),
    **_entries("LOGICAL_AND LOGICAL_OR LOGICAL_NOT", "integer"),
    **_entries("SELECT SELECT_V2", _ANY, 1),
    **_entries("ABS", "fp32 int8 int16 integer"),
    **_entries("NEG", "fp32 integer"),
    **_entries("SIGN CEIL FLOOR ROUND SIN COS ATAN2 SQUARE POW", "fp32"),
    **_entries("EXP SQRT", "fp32 int8 int16"),
    **_entries("RSQRT LOG", "fp32 int8"),
    **_entries("RELU RELU6 LEAKY_RELU LOGISTIC TANH", _REAL),
    **_entries("RELU_N1_TO_1 RELU_0_TO_1 PRELU HARD_SWISH", "fp32 int8 uint8"),
    **_entries("ELU GELU", "fp32 int8"),
    **_entries("QUANTIZE", "int8 uint8 int16", -1),
    **_entries("DEQUANTIZE", "int8 uint8 int16"),
    **_entries("CAST", "fp32 integer"),
    **_entries("FAKE_QUANT", "fp32"),
    # along an axis
    **_entries("SOFTMAX", _REAL),
    **_entries("LOG_SOFTMAX", "fp32 int8 uint8"),
    **_entries("MEAN", _REAL, known=_AXIS),
    **_entries("SUM", _ANY, known=_AXIS),
    **_entries("REDUCE_MAX REDUCE_MIN", _ANY, known=_AXIS),
    **_entries("REDUCE_PROD", "fp32 int8 int16 integer", known=_AXIS),
    **_entries("REDUCE_ANY REDUCE_ALL", "integer", known=_AXIS),
    **_entries("ARG_MAX ARG_MIN", "fp32 int8 uint8 integer", known=_AXIS),
    **_entries("CUMSUM", "fp32 integer", known=_AXIS),
    **_entries("L2_NORMALIZATION", "fp32 int8 uint8"),
    **_entries("LOCAL_RESPONSE_NORMALIZATION", "fp32"),
    **_entries("TOPK_V2", "fp32 int8 uint8 integer", known={1: "k"}),
    **_entries("ONE_HOT", "fp32 integer", 2, {1: "depth", 2: "on value", 3: "off value"}),
    **_entries("CUSTOM:TFLite_Detection_PostProcess", "fp32 uint8", known={2: "anchors"}),
    # moving values
    **_moving("RESHAPE", known={1: "shape"}),
    **_moving("SQUEEZE CONCATENATION PACK UNPACK GATHER GATHER_ND"),
    **_moving("EXPAND_DIMS REVERSE_V2", known=_AXIS),
    **_moving("TRANSPOSE", known={1: "permutation"}),
    **_moving("TILE", known={1: "multiples"}),
    **_moving("BROADCAST_TO", known={1: "shape"}),
    **_moving("SPLIT", 1, {0: "axis"}),
    **_moving("SPLIT_V", known={1: "sizes", 2: "axis"}),
    **_moving("SLICE", known={1: "begin", 2: "size"}),
    **_moving("STRIDED_SLICE", known={1: "begin", 2: "end", 3: "strides"}),
    **_moving("PAD", known={1: "paddings"}),
    **_moving("PADV2", known={1: "paddings", 2: "value"}),
    **_moving("MIRROR_PAD", known={1: "paddings"}),
    **_moving("SPACE_TO_BATCH_ND", known={1: "block shape", 2: "paddings"}),
    **_moving("BATCH_TO_SPACE_ND", known={1: "block shape", 2: "crops"}),
    **_entries("SPACE_TO_DEPTH DEPTH_TO_SPACE", "fp32 int8 uint8 integer", moves=True),
    **_entries("REVERSE_SEQUENCE", "fp32 uint8 int16 integer", moves=True),
    **_entries("SCATTER_ND", "fp32 integer", 1, {2: "shape"}),
    **_entries("EMBEDDING_LOOKUP", "fp32 dynamic-range", 1),
    **_entries("ZEROS_LIKE", "fp32 integer"),
}
"""Operator -> what compiles of it. Others have to be constants by ``known.FOLDABLE``."""


NO_BOOLEANS = frozenset(
    (
        *("ABS", "ADD", "ADD_N", "DIV", "FLOOR_DIV", "FLOOR_MOD", "GREATER", "GREATER_EQUAL"),
        *("LESS", "LESS_EQUAL", "MAXIMUM", "MINIMUM", "MUL", "NEG", "SQUARED_DIFFERENCE", "SUB"),
    )
)
"""What TFLite defines for the other types of ``integer``, and not for bool."""


def operators_table() -> str:
    """Return the table as Markdown, a row for each operator."""
    rows = [["Operator", *SCHEMES, "known"], ["---", *([":-:"] * len(SCHEMES)), "---"]]
    names = {name.removeprefix("CUSTOM:"): entry for name, entry in OPERATORS.items()}
    for name, entry in sorted(names.items()):
        marks = ["x" if scheme in entry.schemes else "" for scheme in SCHEMES]
        rows.append([f"`{name}`", *marks, ", ".join(entry.known.values())])
    lines = ("|".join(f" {cell} " if cell else " " for cell in row) for row in rows)
    return "\n".join(f"|{line}|" for line in lines)
