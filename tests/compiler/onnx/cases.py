"""One-operator ONNX models: at least one for each entry of the table of operators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Input:
    """An operand that is computed at run time, and its random values."""

    shape: tuple[int, ...]
    dtype: str = "float32"
    low: float = -2.0
    high: float = 2.0


Operand = Input | npt.NDArray[Any] | None
"""Input, constant, or left out."""


@dataclass(frozen=True)
class Case:
    """One operator. ``since`` is the lowest operator set that has it in this form, ``until`` the
    last; ``tolerance`` is a share of the result's range."""

    name: str
    operands: tuple[Operand, ...]
    attributes: Mapping[str, Any]
    outputs: int = 1
    since: int = 13
    until: int = 22
    tolerance: float = 1e-5


def case(name: str, *operands: Any, **given: Any) -> Case:
    """Make a case; a tuple is the shape of a float input, a list an int64 constant."""
    fields = {
        key: given.pop(key) for key in ("outputs", "since", "until", "tolerance") & given.keys()
    }
    return Case(name, tuple(map(_operand, operands)), given, **fields)


def _operand(given: Any) -> Operand:
    if isinstance(given, tuple):
        return Input(given)
    return np.array(given, np.int64) if isinstance(given, list) else given


def f32(*values: float) -> npt.NDArray[Any]:
    return np.array(values[0] if len(values) == 1 else values, np.float32)


def noise(*shape: int, low: float = -1.0) -> npt.NDArray[Any]:
    return np.random.default_rng(len(shape)).uniform(low, 1, shape).astype(np.float32)


def ints(*shape: int, dtype: str = "int32", low: int = -9, high: int = 9) -> Input:
    return Input(shape, dtype, low, high)


def above(low: float, *shape: int) -> Input:
    return Input(shape, low=low, high=low + 3)


BOOLS = Input((2, 3, 4), "bool")
IMAGE = (1, 6, 7, 5)
ROWS = (2, 3, 4)
BYTES = Input(IMAGE, "uint8", 0, 255)
BYTE_ROWS = Input((3, 5), "uint8", 0, 255)
STEPS = (5, 2, 3)
BOXES = f32([[1, 2, 9, 12], [0, 0, 15, 7], [3, 4, 3.5, 4.5]])
WEIGHTS = np.random.default_rng(1).integers(-127, 127, (4, 6, 3, 3)).astype(np.int8)

_UNARY = (
    "Relu Sigmoid Tanh Softplus Softsign Erf Exp Abs Neg Floor Ceil Round Sin Cos Sign Identity"
)
_POSITIVE = "Log Sqrt Reciprocal"
_REDUCTIONS = (
    "ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSumExp ReduceSumSquare"
)
_BINARY = "Add Sub Mul Min Max"

CASES = (
    *(case(name, IMAGE) for name in _UNARY.split()),
    *(case(name, Input(IMAGE, low=0.1)) for name in _POSITIVE.split()),
    *(case(name, IMAGE, IMAGE) for name in _BINARY.split()),
    *(case(name, IMAGE, (6, 1, 1)) for name in _BINARY.split()),
    *(case(name, ROWS, noise(4)) for name in _BINARY.split()),
    *(case(name, ints(*ROWS, dtype="int64"), ints(4, dtype="int64")) for name in _BINARY.split()),
    case("Neg", ints(*ROWS)),
    case("Abs", ints(*ROWS)),
    case("Div", IMAGE, above(0.5, 6, 1, 1)),
    case("Div", IMAGE, noise(1, 6, 1, 1, low=0.5)),
    case("Div", ints(*ROWS), ints(4, low=1)),
    case("Pow", above(0.5, *IMAGE), f32(2.0)),
    case("Pow", above(0.5, *ROWS), (4,)),
    case("Pow", ROWS, f32(3.0)),
    case("Pow", ROWS, f32(-2.0)),
    case("Sum", ROWS, (3, 4), (4,)),
    case("Mean", ROWS, (3, 4), (4,)),
    case("Max", ROWS, (3, 4), (4,)),
    case("Min", ROWS),
    case("LeakyRelu", IMAGE),
    case("LeakyRelu", IMAGE, alpha=0.3),
    case("PRelu", IMAGE, noise(6, 1, 1)),
    case("PRelu", IMAGE, noise(1)),
    case("PRelu", ROWS, noise(4)),
    case("Elu", IMAGE),
    case("Elu", IMAGE, alpha=0.5),
    case("Selu", IMAGE),
    case("Selu", ROWS, alpha=1.5, gamma=1.2),
    case("HardSigmoid", IMAGE),
    case("HardSigmoid", IMAGE, alpha=0.1, beta=0.4),
    case("HardSwish", Input(IMAGE, low=-5, high=5), since=14),
    case("Mish", IMAGE, since=18),
    case("Gelu", IMAGE, since=20),
    case("Gelu", ROWS, since=20, approximate="tanh"),
    case("Clip", IMAGE, f32(-0.5), f32(1.0)),
    case("Clip", IMAGE, f32(0.0)),
    case("Clip", IMAGE, None, f32(0.5)),
    case("Clip", ints(*ROWS), np.array(-3, np.int32), np.array(4, np.int32)),
    case("Softmax", IMAGE, axis=1),
    case("Softmax", ROWS),
    case("Softmax", ROWS, axis=0),
    case("LogSoftmax", ROWS, axis=-1),
    case("LogSoftmax", IMAGE, axis=1),
    case("Equal", ints(*ROWS), ints(4)),
    case("Equal", BOOLS, BOOLS),
    case("Greater", ROWS, (4,)),
    case("GreaterOrEqual", ints(*ROWS), ints(4)),
    case("Less", ROWS, (4,)),
    case("LessOrEqual", ints(*ROWS), ints(4)),
    case("Not", BOOLS),
    case("And", BOOLS, Input((4,), "bool")),
    case("Or", BOOLS, Input((4,), "bool")),
    case("Xor", BOOLS, Input((4,), "bool")),
    case("Where", BOOLS, ROWS, (4,)),
    case("Cast", ROWS, to=6),
    case("Cast", ROWS, to=7),
    case("Cast", ints(*ROWS), to=1),
    case("Cast", ints(*ROWS), to=9),
    case("Cast", BOOLS, to=1),
    # Convolutions and products
    case("Conv", IMAGE, noise(4, 6, 3, 3)),
    case("Conv", IMAGE, noise(4, 6, 3, 3), noise(4), pads=[1, 2, 0, 1], strides=[2, 1]),
    case("Conv", IMAGE, noise(4, 6, 3, 2), auto_pad="SAME_UPPER", strides=[2, 2]),
    case("Conv", IMAGE, noise(4, 6, 2, 3), auto_pad="SAME_LOWER"),
    case("Conv", IMAGE, noise(4, 6, 3, 3), auto_pad="VALID", dilations=[2, 1]),
    case("Conv", IMAGE, noise(6, 3, 3, 3), group=2, pads=[1, 1, 1, 1]),
    case("Conv", IMAGE, noise(12, 1, 3, 3), group=6),
    case("Conv", IMAGE, (4, 6, 3, 3)),
    case("Conv", (2, 4, 9), noise(5, 4, 3), noise(5), pads=[1, 1]),
    case("ConvTranspose", IMAGE, noise(6, 4, 3, 3)),
    case("ConvTranspose", IMAGE, noise(6, 4, 2, 2), noise(4), strides=[2, 2]),
    case("ConvTranspose", IMAGE, noise(6, 4, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1],
         output_padding=[1, 1]),
    case("ConvTranspose", IMAGE, noise(6, 2, 3, 3), group=3, strides=[2, 1]),
    case("ConvTranspose", IMAGE, noise(6, 4, 3, 3), dilations=[2, 2]),
    case("ConvTranspose", IMAGE, noise(6, 4, 3, 3), strides=[2, 2], auto_pad="SAME_UPPER"),
    case("Gemm", (3, 5), noise(5, 4), noise(4)),
    case("Gemm", (3, 5), noise(4, 5), transB=1, alpha=0.5),
    case("Gemm", (5, 3), noise(4, 5), noise(3, 4), transA=1, transB=1, beta=0.25),
    case("Gemm", (3, 5), (5, 4), (3, 1)),
    case("MatMul", (3, 5), noise(5, 4)),
    case("MatMul", (2, 3, 5), (2, 5, 4)),
    case("MatMul", (2, 1, 3, 5), (4, 5, 4)),
    case("MatMul", (5,), (5, 4)),
    case("MaxPool", IMAGE, kernel_shape=[3, 3]),
    case("MaxPool", IMAGE, kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1]),
    case("MaxPool", IMAGE, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    case("MaxPool", IMAGE, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"),
    case("MaxPool", IMAGE, kernel_shape=[2, 2], dilations=[2, 2]),
    case("AveragePool", IMAGE, kernel_shape=[3, 3]),
    case("AveragePool", IMAGE, kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1]),
    case("AveragePool", IMAGE, kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
    case("AveragePool", IMAGE, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_LOWER"),
    case("AveragePool", IMAGE, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    case("GlobalAveragePool", IMAGE),
    case("GlobalMaxPool", IMAGE),
    # Normalization
    case("BatchNormalization", IMAGE, noise(6), noise(6), noise(6), noise(6, low=0.2), since=15),
    case("BatchNormalization", (3, 4), noise(4), noise(4), noise(4), noise(4, low=0.2),
         epsilon=0.01, since=15),
    case("InstanceNormalization", IMAGE, noise(6), noise(6)),
    case("LayerNormalization", ROWS, noise(4), noise(4), since=17),
    case("LayerNormalization", ROWS, noise(3, 4), axis=1, epsilon=0.01, since=17),
    case("LRN", IMAGE, size=3),
    # Reductions
    *(
        case(name, Input(IMAGE, low=0.2), axes=[2, 3], until=17)
        for name in _REDUCTIONS.split()
    ),
    *(
        case(name, Input(IMAGE, low=0.2), [1, -1], keepdims=0, since=18)
        for name in _REDUCTIONS.split()
    ),
    *(case(name, ROWS, since=18) for name in ("ReduceMean", "ReduceMax", "ReduceMin")),
    case("ReduceMean", ROWS, until=17, keepdims=0),
    case("ReduceSum", IMAGE, [2, 3]),
    case("ReduceSum", ROWS, [-1], keepdims=0),
    case("ReduceSum", ROWS),
    case("ReduceMax", ints(*ROWS), [1], since=18),
    case("ArgMax", ROWS, axis=1),
    case("ArgMax", ROWS, axis=-1, keepdims=0),
    case("ArgMin", ROWS, axis=0, keepdims=0),
    case("CumSum", ROWS, np.array(1, np.int64)),
    # Movement
    case("Dropout", ROWS),
    case("Concat", IMAGE, IMAGE, axis=1),
    case("Concat", ROWS, (2, 5, 4), noise(2, 1, 4), axis=-2),
    case("Transpose", IMAGE, perm=[0, 2, 3, 1]),
    case("Transpose", ROWS),
    case("Flatten", IMAGE),
    case("Flatten", ROWS, axis=2),
    case("Flatten", ROWS, axis=0),
    case("Flatten", ROWS, axis=-1),
    case("Gather", ROWS, np.array([2, 0], np.int64), axis=1),
    case("Gather", ROWS, np.array([-1], np.int64), axis=2),
    case("Gather", ROWS, Input((2, 2), "int64", 0, 2), axis=1),
    case("Gather", noise(5, 3), Input((4,), "int32", 0, 4)),
    case("GatherElements", ROWS, Input((2, 2, 4), "int64", 0, 2), axis=1),
    case("GatherND", ROWS, np.array([[0, 1], [1, 2]], np.int64)),
    case("DepthToSpace", (1, 8, 3, 2), blocksize=2),
    case("DepthToSpace", (1, 8, 3, 2), blocksize=2, mode="CRD"),
    case("SpaceToDepth", (1, 2, 4, 6), blocksize=2),
    case("Reshape", ROWS, [4, -1]),
    case("Reshape", ROWS, [0, -1]),
    case("Reshape", IMAGE, [1, 6, 35]),
    case("Expand", (3, 1), [2, 3, 4]),
    case("Expand", (3, 4), [3, 1]),
    case("Squeeze", (1, 3, 1, 4), [0, 2]),
    case("Squeeze", (1, 3, 1, 4), [-2]),
    case("Squeeze", (1, 3, 1, 4)),
    case("Unsqueeze", ROWS, [0, -1]),
    case("Slice", ROWS, [0, 1], [2, 3]),
    case("Slice", ROWS, [1], [99], [2]),
    case("Slice", ROWS, [-1], [-99], [1], [-1]),
    case("Slice", IMAGE, [1, 0], [5, 7], [1, 2], [2, 3]),
    case("Split", IMAGE, [2, 4], axis=1, outputs=2),
    case("Split", ROWS, axis=-1, outputs=2, until=17),
    case("Split", ROWS, axis=-1, num_outputs=2, outputs=2, since=18),
    case("Split", (5, 3), num_outputs=2, outputs=2, since=18),
    case("Pad", IMAGE, [0, 0, 1, 2, 0, 0, 0, 3]),
    case("Pad", IMAGE, [0, 0, 1, 2, 0, 0, 0, 3], f32(1.5)),
    case("Pad", ROWS, [0, 1, 0, 2, 0, 0], f32(0.0), mode="constant"),
    case("Pad", IMAGE, [0, 0, 1, 2, 0, 0, 2, 1], mode="reflect"),
    case("Pad", IMAGE, [0, 0, 1, 2, 0, 0, 2, 1], mode="edge"),
    case("Pad", ROWS, [1, 2], f32(0.5), [1], since=18),
    case("Tile", ROWS, [1, 2, 3]),
    case("Resize", IMAGE, None, f32(1, 1, 2, 2), mode="nearest",
         coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    case("Resize", IMAGE, None, f32(1, 1, 2, 2)),
    case("Resize", IMAGE, None, f32(1, 1, 2, 3), mode="linear"),
    case("Resize", IMAGE, None, None, [1, 6, 9, 11], mode="linear",
         coordinate_transformation_mode="align_corners"),
    case("Resize", IMAGE, None, None, [1, 6, 9, 11], mode="cubic"),
    case("Resize", IMAGE, None, None, [1, 6, 3, 2], mode="linear",
         coordinate_transformation_mode="asymmetric"),
    case("Trilu", (4, 5), since=14),
    case("Trilu", (4, 5), upper=0, since=14),
    case("TopK", ROWS, [2], outputs=2),
    case("Mod", ints(*ROWS, low=0), ints(4, low=1)),
    case("IsNaN", ROWS),
    case("Sinh", ROWS), case("Cosh", ROWS), case("Tan", Input(ROWS, low=-1, high=1)),
    case("Atan", ROWS),
    case("ThresholdedRelu", ROWS, alpha=0.4),
    case("Shrink", ROWS, lambd=0.4, bias=0.1),
    case("Einsum", (3, 4), (4, 5), equation="ij,jk->ik"),
    case("Einsum", (2, 3, 2, 4), (2, 3, 2, 4), equation="bqhd,bkhd->bhqk"),
    case("Einsum", (3, 3), equation="ii->i"),
    *(case(name, Input(ROWS, low=-0.9, high=0.9)) for name in ["Acos", "Asin", "Atanh", "Asinh"]),
    case("Acosh", above(1.1, *ROWS)),
    case("IsInf", ROWS),
    case("Celu", ROWS, alpha=0.7),
    case("Hardmax", ROWS, axis=1),
    case("LpPool", IMAGE, kernel_shape=[2, 2]),
    case("GroupNormalization", IMAGE, noise(6), noise(6), num_groups=3, epsilon=0.01, since=21),
    case("ReduceLogSum", above(0.5, *ROWS), [1], since=18),
    case("ReduceLogSum", above(0.5, *ROWS), axes=[1], keepdims=0, until=17),
    # Operators that are spelled by others
    case("LpNormalization", ROWS, axis=1),
    case("LpNormalization", ROWS, p=1),
    case("LpNormalization", Input((2, 3), low=0, high=0)),
    case("MeanVarianceNormalization", IMAGE),
    case("MeanVarianceNormalization", ROWS, axes=[1]),
    case("GroupNormalization", IMAGE, noise(3), noise(3), num_groups=3, since=18, until=20),
    case("ReverseSequence", (4, 3, 2), [1, 4, 2]),
    case("ReverseSequence", (3, 4, 2), Input((3,), "int64", 1, 4), time_axis=1, batch_axis=0),
    case("RoiAlign", (2, 3, 8, 8), BOXES, np.array([0, 1, 1], np.int64), output_height=3,
         output_width=2, sampling_ratio=2, spatial_scale=0.5, until=21),
    case("RoiAlign", (2, 3, 8, 8), BOXES, Input((3,), "int64", 0, 1), output_height=2,
         output_width=2, sampling_ratio=1, until=15),
    case("Resize", IMAGE, None, None, [1, 6, 9, 11], mode="cubic", cubic_coeff_a=-0.5,
         exclude_outside=1),
    *(
        case("Resize", IMAGE, None, None, [1, 6, 9, 4], nearest_mode=mode)
        for mode in ("ceil", "floor", "round_prefer_ceil")
    ),
    case("Resize", IMAGE, None, None, [1, 6, 1, 4], mode="linear",
         coordinate_transformation_mode="pytorch_half_pixel"),
    case("Resize", IMAGE, None, f32(3, 2), axes=[3, 2], mode="linear", since=18),
    case("Resize", IMAGE, None, None, [9, 4], axes=[-2, -1], since=18),
    case("Pow", ints(*ROWS, low=-4, high=4), np.array(3, np.int32)),
    case("Pow", ints(*ROWS, dtype="int64", low=1, high=5), ints(4, dtype="int64", low=0, high=4)),
    case("Pow", above(0.5, *ROWS), [2]),
    case("Pow", ints(*ROWS, low=0, high=9), f32(0.5)),
    *(case(name, BOOLS, [1], since=20) for name in ("ReduceMax", "ReduceMin")),
    case("LSTM", STEPS, noise(1, 16, 3), noise(1, 16, 4), noise(1, 32), hidden_size=4, outputs=3),
    case("LSTM", STEPS, noise(2, 16, 3), noise(2, 16, 4), None, None, noise(2, 2, 4),
         (2, 2, 4), hidden_size=4, direction="bidirectional", outputs=3),
    case("LSTM", STEPS, noise(1, 16, 3), noise(1, 16, 4), noise(1, 32), np.int32([5, 5]),
         hidden_size=4, direction="reverse", activations=["Tanh", "Relu", "Sigmoid"]),
    case("GRU", STEPS, noise(1, 12, 3), noise(1, 12, 4), noise(1, 24), hidden_size=4, outputs=2),
    case("GRU", STEPS, noise(2, 12, 3), noise(2, 12, 4), noise(2, 24), None, (2, 2, 4),
         hidden_size=4, direction="bidirectional", linear_before_reset=1, outputs=2),
    case("RNN", STEPS, noise(1, 4, 3), noise(1, 4, 4), noise(1, 8), hidden_size=4, outputs=2),
    case("RNN", STEPS, noise(2, 4, 3), noise(2, 4, 4), hidden_size=4, direction="bidirectional",
         activations=["Relu", "Tanh"]),
    # Quantized without QDQ, and integers
    case("QLinearConv", BYTES, f32(0.02), np.uint8(120), WEIGHTS, f32([0.01, 0.02, 0.015, 0.03]),
         np.zeros(4, np.int8), f32(0.5), np.uint8(128), np.arange(4, dtype=np.int32) * 100,
         pads=[1, 1, 1, 1]),
    case("QLinearMatMul", BYTE_ROWS, f32(0.02), np.uint8(120), WEIGHTS[0, :5, :, 0], f32(0.01),
         np.int8(0), f32(0.05), np.uint8(128)),
    case("ConvInteger", BYTES, WEIGHTS.view(np.uint8), np.uint8(120), np.uint8(99),
         strides=[2, 1]),
    case("ConvInteger", BYTES, WEIGHTS.view(np.uint8)),
    case("MatMulInteger", BYTE_ROWS, WEIGHTS[0, :5, :, 0], np.uint8(7), np.int8(0)),
    case("DynamicQuantizeLinear", ROWS, outputs=3),
    case("BitShift", Input(ROWS, "uint8", 0, 9), Input((4,), "uint8", 1, 3), direction="LEFT"),
    *(case(name, ints(*ROWS), ints(4), since=18)
      for name in ("BitwiseAnd", "BitwiseOr", "BitwiseXor")),
    case("BitwiseNot", ints(*ROWS), since=18),
    case("CastLike", ints(*ROWS), (1,), since=15),
    case("EyeLike", (3, 4)),
    # Picking and placing
    case("OneHot", Input((2, 3), "int64", -4, 3), np.int64(4), f32(0.0, 1.0)),
    case("OneHot", Input((2, 3), "int64", 0, 5), [4], f32(0.5, 2.0), axis=1),
    case("ScatterND", ROWS, np.array([[0, 1], [1, 2]], np.int64), (2, 4)),
    case("ScatterElements", ROWS, Input((1, 3, 4), "int64", 0, 0), (1, 3, 4), axis=1),
    case("GridSample", (1, 2, 4, 5), Input((1, 3, 3, 2), low=-1, high=1), since=16, until=19),
    case("GridSample", (1, 2, 4, 5), Input((1, 3, 3, 2), low=-1, high=1), since=20),
)  # fmt: skip
