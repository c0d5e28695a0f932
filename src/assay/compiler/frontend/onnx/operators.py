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
    **_entries("Conv ConvTranspose Gemm MatMul Einsum"),
    **_entries("MaxPool AveragePool GlobalAveragePool GlobalMaxPool"),
    **_entries("QuantizeLinear DequantizeLinear", {1: "scale", 2: "zero point"}),
    **_entries("BatchNormalization", {1: "scale", 2: "bias", 3: "mean", 4: "variance"}),
    **_entries("InstanceNormalization LayerNormalization LRN"),
    **_entries(
        "Relu LeakyRelu PRelu Elu Selu Sigmoid HardSigmoid HardSwish Tanh Softplus Softsign Mish "
        "ThresholdedRelu Shrink Gelu"
    ),
    **_entries("Erf Exp Log Sqrt Abs Neg Reciprocal Floor Ceil Round Sign IsNaN"),
    **_entries("Sin Cos Tan Atan Sinh Cosh"),
    **_entries("Clip", {1: "minimum", 2: "maximum"}),
    **_entries("Softmax LogSoftmax"),
    **_entries("LpNormalization MeanVarianceNormalization ReverseSequence RoiAlign"),
    **_entries("LSTM GRU RNN", {4: "lengths of sequences"}),
    **_entries("Acos Acosh Asin Asinh Atanh IsInf Celu Hardmax GroupNormalization LpPool"),
    **_entries("QLinearConv QLinearMatMul", {1: "scale", 2: "zero point"}),
    **_entries("ConvInteger MatMulInteger DynamicQuantizeLinear"),
    **_entries("BitShift BitwiseAnd BitwiseOr BitwiseXor BitwiseNot CastLike EyeLike"),
    **_entries("ScatterND ScatterElements GridSample"),
    **_entries("OneHot", {1: "depth", 2: "values"}),
    **_entries("Add Sub Mul Div Mod Pow Min Max Sum Mean"),
    **_entries("Equal Greater GreaterOrEqual Less LessOrEqual Where Not And Or Xor Cast"),
    **_entries("ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd", {1: "axes"}),
    **_entries("ReduceLogSum", {1: "axes"}),
    **_entries("ReduceL1 ReduceL2 ReduceLogSumExp ReduceSumSquare", {1: "axes"}),
    **_entries("ArgMax ArgMin"),
    **_entries("CumSum", {1: "axis"}),
    **_entries("TopK", {1: "count"}),
    **_entries("Identity Dropout Concat Transpose Flatten DepthToSpace SpaceToDepth"),
    **_entries("Gather GatherElements GatherND"),
    **_entries("Trilu", {1: "diagonal"}),
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
