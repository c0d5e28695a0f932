"""Which options table each operator carries, the fields tests set, and their defaults."""

from __future__ import annotations

from typing import Any

PADDING = {"SAME": 0, "VALID": 1}
ACTIVATION = {"NONE": 0, "RELU": 1, "RELU_N1_TO_1": 2, "RELU6": 3, "TANH": 4, "SIGN_BIT": 5}
MIRROR = {"REFLECT": 0, "SYMMETRIC": 1}

_CONV = {
    "padding": "SAME",
    "stride_h": 1,
    "stride_w": 1,
    "dilation_h": 1,
    "dilation_w": 1,
    "activation": "NONE",
}
_POOL = {
    "padding": "VALID",
    "stride_h": 1,
    "stride_w": 1,
    "filter_h": 1,
    "filter_w": 1,
    "activation": "NONE",
}
_ACTIVATION = {"activation": "NONE"}
_RESIZE = {"align_corners": False, "half_pixel_centers": False}
_SLICE = {
    "begin_mask": 0,
    "end_mask": 0,
    "ellipsis_mask": 0,
    "new_axis_mask": 0,
    "shrink_axis_mask": 0,
}

OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "ADD": ("AddOptions", _ACTIVATION),
    "SUB": ("SubOptions", _ACTIVATION),
    "MUL": ("MulOptions", _ACTIVATION),
    "DIV": ("DivOptions", _ACTIVATION),
    "CONV_2D": ("Conv2DOptions", _CONV),
    "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions", {**_CONV, "depth_multiplier": 1}),
    "TRANSPOSE_CONV": (
        "TransposeConvOptions",
        {"padding": "SAME", "stride_h": 1, "stride_w": 1, "activation": "NONE"},
    ),
    "FULLY_CONNECTED": (
        "FullyConnectedOptions",
        {"activation": "NONE", "keep_num_dims": False, "weights_format": 0},
    ),
    "BATCH_MATMUL": ("BatchMatMulOptions", {"adj_x": False, "adj_y": False}),
    "AVERAGE_POOL_2D": ("Pool2DOptions", _POOL),
    "MAX_POOL_2D": ("Pool2DOptions", _POOL),
    "MEAN": ("ReducerOptions", {"keep_dims": False}),
    "SUM": ("ReducerOptions", {"keep_dims": False}),
    "REDUCE_MAX": ("ReducerOptions", {"keep_dims": False}),
    "REDUCE_MIN": ("ReducerOptions", {"keep_dims": False}),
    "RESHAPE": ("ReshapeOptions", {"new_shape": ()}),
    "SQUEEZE": ("SqueezeOptions", {"squeeze_dims": ()}),
    "SOFTMAX": ("SoftmaxOptions", {"beta": 1.0}),
    "LEAKY_RELU": ("LeakyReluOptions", {"alpha": 0.2}),
    "GELU": ("GeluOptions", {"approximate": False}),
    "HARD_SWISH": ("HardSwishOptions", {}),
    "CONCATENATION": ("ConcatenationOptions", {"axis": -1, "activation": "NONE"}),
    "PACK": ("PackOptions", {"values_count": 1, "axis": 0}),
    "UNPACK": ("UnpackOptions", {"num": 1, "axis": 0}),
    "SPLIT": ("SplitOptions", {"num_splits": 2}),
    "SPLIT_V": ("SplitVOptions", {"num_splits": 2}),
    "GATHER": ("GatherOptions", {"axis": 0, "batch_dims": 0}),
    "ONE_HOT": ("OneHotOptions", {"axis": -1}),
    "TRANSPOSE": ("TransposeOptions", {}),
    "EXPAND_DIMS": ("ExpandDimsOptions", {}),
    "PAD": ("PadOptions", {}),
    "PADV2": ("PadV2Options", {}),
    "MIRROR_PAD": ("MirrorPadOptions", {"mode": "REFLECT"}),
    "SLICE": ("SliceOptions", {}),
    "STRIDED_SLICE": ("StridedSliceOptions", _SLICE),
    "SHAPE": ("ShapeOptions", {"out_type": "int32"}),
    "ARG_MAX": ("ArgMaxOptions", {"output_type": "int64"}),
    "ARG_MIN": ("ArgMinOptions", {"output_type": "int64"}),
    "CAST": ("CastOptions", {}),
    "QUANTIZE": ("QuantizeOptions", {}),
    "DEQUANTIZE": ("DequantizeOptions", {}),
    "RESIZE_BILINEAR": ("ResizeBilinearOptions", _RESIZE),
    "RESIZE_NEAREST_NEIGHBOR": ("ResizeNearestNeighborOptions", _RESIZE),
    "DEPTH_TO_SPACE": ("DepthToSpaceOptions", {"block_size": 2}),
    "SPACE_TO_DEPTH": ("SpaceToDepthOptions", {"block_size": 2}),
    "MAXIMUM": ("MaximumMinimumOptions", {}),
    "MINIMUM": ("MaximumMinimumOptions", {}),
    "L2_NORMALIZATION": ("L2NormOptions", _ACTIVATION),
    "LOCAL_RESPONSE_NORMALIZATION": (
        "LocalResponseNormalizationOptions",
        {"radius": 5, "bias": 1.0, "alpha": 1.0, "beta": 0.5},
    ),
    "IF": ("IfOptions", {"then_subgraph_index": 1, "else_subgraph_index": 2}),
    "WHILE": ("WhileOptions", {"cond_subgraph_index": 1, "body_subgraph_index": 2}),
}
"""Operator -> options table and defaults. Operators that are not here get no options."""

# Fields whose name in the schema says something else than the name used in tests.
SCHEMA_NAMES = {
    "activation": "FusedActivationFunction",
    "dilation_h": "DilationHFactor",
    "dilation_w": "DilationWFactor",
    "filter_h": "FilterHeight",
    "filter_w": "FilterWidth",
}
