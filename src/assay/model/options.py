"""The attributes of operators: what their options and their constant operands say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tflite

# Accessors whose number means a name: enums Padding, ActivationFunctionType and MirrorPadMode.
_NAMES: dict[str, tuple[str, ...]] = {
    "Padding": ("SAME", "VALID"),
    "FusedActivationFunction": ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT"),
    "Mode": ("REFLECT", "SYMMETRIC"),
}

_Fields = dict[str, str]  # attribute -> accessor of the options table

_STRIDE: _Fields = {"stride_h": "StrideH", "stride_w": "StrideW"}
_DILATION: _Fields = {"dilation_h": "DilationHFactor", "dilation_w": "DilationWFactor"}
_PAD: _Fields = {"padding": "Padding"}
_ACT: _Fields = {"activation": "FusedActivationFunction"}
_WINDOW: _Fields = {"filter_h": "FilterHeight", "filter_w": "FilterWidth"}
_AXIS: _Fields = {"axis": "Axis"}
_RESIZE: _Fields = {
    "align_corners": "AlignCorners",
    "half_pixel_centers": "HalfPixelCenters",
}
_POOL = ("Pool2DOptions", {**_PAD, **_STRIDE, **_WINDOW, **_ACT})
_KEEP_DIMS = ("ReducerOptions", {"keep_dims": "KeepDims"})

OPTIONS: dict[str, tuple[str, _Fields]] = {
    "CONV_2D": ("Conv2DOptions", {**_PAD, **_STRIDE, **_DILATION, **_ACT}),
    "DEPTHWISE_CONV_2D": (
        "DepthwiseConv2DOptions",
        {**_PAD, **_STRIDE, **_DILATION, "depth_multiplier": "DepthMultiplier", **_ACT},
    ),
    "TRANSPOSE_CONV": ("TransposeConvOptions", {**_PAD, **_STRIDE, **_ACT}),
    "FULLY_CONNECTED": (
        "FullyConnectedOptions",
        {"keep_num_dims": "KeepNumDims", **_ACT},
    ),
    "BATCH_MATMUL": ("BatchMatMulOptions", {"adj_x": "AdjX", "adj_y": "AdjY"}),
    "AVERAGE_POOL_2D": _POOL,
    "MAX_POOL_2D": _POOL,
    "L2_POOL_2D": _POOL,
    "ADD": ("AddOptions", _ACT),
    "SUB": ("SubOptions", _ACT),
    "MUL": ("MulOptions", _ACT),
    "DIV": ("DivOptions", _ACT),
    "CONCATENATION": ("ConcatenationOptions", {**_AXIS, **_ACT}),
    "SOFTMAX": ("SoftmaxOptions", {"beta": "Beta"}),
    "LEAKY_RELU": ("LeakyReluOptions", {"alpha": "Alpha"}),
    "GELU": ("GeluOptions", {"approximate": "Approximate"}),
    "MEAN": _KEEP_DIMS,
    "SUM": _KEEP_DIMS,
    "REDUCE_MAX": _KEEP_DIMS,
    "REDUCE_MIN": _KEEP_DIMS,
    "REDUCE_PROD": _KEEP_DIMS,
    "RESIZE_BILINEAR": ("ResizeBilinearOptions", _RESIZE),
    "RESIZE_NEAREST_NEIGHBOR": ("ResizeNearestNeighborOptions", _RESIZE),
    "MIRROR_PAD": ("MirrorPadOptions", {"mode": "Mode"}),
    "DEPTH_TO_SPACE": ("DepthToSpaceOptions", {"block_size": "BlockSize"}),
    "SPACE_TO_DEPTH": ("SpaceToDepthOptions", {"block_size": "BlockSize"}),
    "SPLIT": ("SplitOptions", {"num_splits": "NumSplits"}),
    "SPLIT_V": ("SplitVOptions", {"num_splits": "NumSplits"}),
    "PACK": ("PackOptions", {"values_count": "ValuesCount", **_AXIS}),
    "UNPACK": ("UnpackOptions", {"num": "Num", **_AXIS}),
    "GATHER": ("GatherOptions", {**_AXIS, "batch_dims": "BatchDims"}),
    "ONE_HOT": ("OneHotOptions", _AXIS),
    "STRIDED_SLICE": (
        "StridedSliceOptions",
        {
            "begin_mask": "BeginMask",
            "end_mask": "EndMask",
            "ellipsis_mask": "EllipsisMask",
            "new_axis_mask": "NewAxisMask",
            "shrink_axis_mask": "ShrinkAxisMask",
        },
    ),
}
"""Operator -> the options table it carries, and the attributes read from it."""

_OPERANDS: dict[str, dict[str, int]] = {
    "MEAN": {"axis": 1},
    "SUM": {"axis": 1},
    "REDUCE_MAX": {"axis": 1},
    "REDUCE_MIN": {"axis": 1},
    "REDUCE_PROD": {"axis": 1},
    "ARG_MAX": {"axis": 1},
    "ARG_MIN": {"axis": 1},
    "PAD": {"paddings": 1},
    "PADV2": {"paddings": 1},
    "MIRROR_PAD": {"paddings": 1},
    "RESHAPE": {"new_shape": 1},
    "TRANSPOSE": {"perm": 1},
    "EXPAND_DIMS": {"axis": 1},
    "RESIZE_BILINEAR": {"size": 1},
    "RESIZE_NEAREST_NEIGHBOR": {"size": 1},
    "SPLIT": {"axis": 0},
    "SPLIT_V": {"sizes": 1, "axis": 2},
    "SLICE": {"begin": 1, "size": 2},
    "STRIDED_SLICE": {"begin": 1, "end": 2, "strides": 3},
}
"""Operator -> attributes that TFLite passes as operands, with the position of each."""


def attributes_of(
    name: str,
    operator: tflite.Operator,
    inputs: Sequence[int],
    constant_ints: Callable[[int], tuple[int, ...] | None],
) -> dict[str, Any]:
    """Return the attributes that steer what an operator computes.

    Enumerations are given by name (``padding="SAME"``), operands as a tuple of int, flattened.
    ``constant_ints(tensor)`` is the value of a constant integer tensor, None for any other.
    """
    attributes = builtin_options(name, operator)
    for attribute, position in _OPERANDS.get(name, {}).items():
        value = constant_ints(inputs[position]) if position < len(inputs) else None
        if value is not None:
            attributes[attribute] = value
    if name == "SQUEEZE" and (options := _table("SqueezeOptions", operator)) is not None:
        dims = range(options.SqueezeDimsLength())
        attributes["squeeze_dims"] = tuple(options.SqueezeDims(i) for i in dims)
    return attributes


def builtin_options(name: str, operator: tflite.Operator) -> dict[str, Any]:
    """Return the attributes from an operator's options table, none if it carries no such table."""
    if name not in OPTIONS:
        return {}
    table, fields = OPTIONS[name]
    options = _table(table, operator)
    if options is None:
        return {}
    values: dict[str, Any] = {}
    for attribute, accessor in fields.items():
        value = getattr(options, accessor)()
        values[attribute] = _NAMES[accessor][value] if accessor in _NAMES else value
    return values


def _table(name: str, operator: tflite.Operator) -> Any:
    if operator.BuiltinOptionsType() != getattr(tflite.BuiltinOptions, name):
        return None
    union = operator.BuiltinOptions()
    if union is None:
        return None
    table = getattr(tflite, name)()
    table.Init(union.Bytes, union.Pos)
    return table
