"""Which operators of ONNX compile: the table behind checks, documentation and tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Entry:
    """``known`` are operands, by position, that have to be constants or follow from shapes."""

    known: Mapping[int, str] = field(default_factory=dict)


def _entries(names: str, known: Mapping[int, str] | None = None) -> dict[str, Entry]:
    return {name: Entry(known or {}) for name in names.split()}


OPERATORS: dict[str, Entry] = {
    **_entries("Conv ConvTranspose Gemm MatMul"),
    **_entries("MaxPool AveragePool GlobalAveragePool GlobalMaxPool"),
    **_entries("QuantizeLinear DequantizeLinear", {1: "scale", 2: "zero point"}),
    **_entries("BatchNormalization InstanceNormalization LayerNormalization"),
    **_entries(
        "Relu LeakyRelu PRelu Elu Selu Sigmoid HardSigmoid HardSwish Tanh Softplus Softsign"
    ),
    **_entries("Gelu Erf Exp Log Sqrt Abs Neg Reciprocal Floor Ceil Sin Cos Sign"),
    **_entries("Clip", {1: "minimum", 2: "maximum"}),
    **_entries("Softmax LogSoftmax"),
    **_entries("Add Sub Mul Div Pow Min Max Sum Mean"),
    **_entries("Equal Greater Less Where Not And Or Cast"),
    **_entries("ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL2", {1: "axes"}),
    **_entries("ArgMax ArgMin"),
    **_entries("Identity Dropout Concat Transpose Flatten Gather DepthToSpace SpaceToDepth"),
    **_entries("Reshape Expand", {1: "shape"}),
    **_entries("Squeeze Unsqueeze", {1: "axes"}),
    **_entries("Slice", {1: "starts", 2: "ends", 3: "axes", 4: "steps"}),
    **_entries("Split", {1: "sizes"}),
    **_entries("Pad", {1: "pads", 2: "value", 3: "axes"}),
    **_entries("Tile", {1: "repeats"}),
    **_entries("Resize", {1: "region", 2: "scales", 3: "sizes"}),
}
"""Operator -> what compiles of it. Others have to follow from constants and shapes."""


def operators_table() -> str:
    """Return the table as Markdown, a row for each operator."""
    rows = ["| Operator | known |", "| --- | --- |"]
    for name, entry in sorted(OPERATORS.items()):
        known = ", ".join(entry.known.values())
        rows.append(f"| `{name}` | {known} |" if known else f"| `{name}` | |")
    return "\n".join(rows)
