"""The attributes of operators: what their options and their constant operands say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from assay.model.tables import Table

# Fields whose number means a name: enums Padding, ActivationFunctionType and MirrorPadMode.
_NAMES: dict[str, tuple[str, ...]] = {
    "padding": ("SAME", "VALID"),
    "activation": ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT"),
    "mode": ("REFLECT", "SYMMETRIC"),
}

_WINDOW = "padding stride_h stride_w"
_DILATED = f"{_WINDOW} dilation_h dilation_w"
_POOL = f"Pool2DOptions {_WINDOW} filter_h filter_w activation"
_REDUCER = "ReducerOptions keep_dims"
_RESIZE = "align_corners half_pixel_centers"

_DECLARED = {
    "CONV_2D": f"Conv2DOptions {_DILATED} activation",
    "DEPTHWISE_CONV_2D": f"DepthwiseConv2DOptions {_DILATED} depth_multiplier activation",
    "TRANSPOSE_CONV": f"TransposeConvOptions {_WINDOW} activation",
    "FULLY_CONNECTED": "FullyConnectedOptions keep_num_dims activation",
    "BATCH_MATMUL": "BatchMatMulOptions adj_x adj_y",
    "AVERAGE_POOL_2D": _POOL,
    "MAX_POOL_2D": _POOL,
    "L2_POOL_2D": _POOL,
    "ADD": "AddOptions activation",
    "SUB": "SubOptions activation",
    "MUL": "MulOptions activation",
    "DIV": "DivOptions activation",
    "CONCATENATION": "ConcatenationOptions axis activation",
    "SOFTMAX": "SoftmaxOptions beta",
    "LEAKY_RELU": "LeakyReluOptions alpha",
    "GELU": "GeluOptions approximate",
    "MEAN": _REDUCER,
    "SUM": _REDUCER,
    "REDUCE_MAX": _REDUCER,
    "REDUCE_MIN": _REDUCER,
    "REDUCE_PROD": _REDUCER,
    "RESIZE_BILINEAR": f"ResizeBilinearOptions {_RESIZE}",
    "RESIZE_NEAREST_NEIGHBOR": f"ResizeNearestNeighborOptions {_RESIZE}",
    "MIRROR_PAD": "MirrorPadOptions mode",
    "DEPTH_TO_SPACE": "DepthToSpaceOptions block_size",
    "SPACE_TO_DEPTH": "SpaceToDepthOptions block_size",
    "SPLIT": "SplitOptions num_splits",
    "SPLIT_V": "SplitVOptions num_splits",
    "SQUEEZE": "SqueezeOptions squeeze_dims",
    "PACK": "PackOptions values_count axis",
    "UNPACK": "UnpackOptions num axis",
    "GATHER": "GatherOptions axis batch_dims",
    "ONE_HOT": "OneHotOptions axis",
    "STRIDED_SLICE": "StridedSliceOptions begin_mask end_mask ellipsis_mask new_axis_mask "
    "shrink_axis_mask",
}

OPTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    name: (table, tuple(fields))
    for name, (table, *fields) in ((name, text.split()) for name, text in _DECLARED.items())
}
"""Operator -> the options table it carries, and the fields that are attributes of the operator."""

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
    operator: Table,
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
    return attributes


def builtin_options(name: str, operator: Table) -> dict[str, Any]:
    """Return the attributes from an operator's options table, none if it carries no such table."""
    if name not in OPTIONS:
        return {}
    table, fields = OPTIONS[name]
    options = operator.builtin_options
    if options is None or options.kind != table:
        return {}
    return {field: _value(field, getattr(options, field)) for field in fields}


def _value(field: str, stored: Any) -> Any:
    if field in _NAMES:
        return _NAMES[field][stored]
    return tuple(stored) if isinstance(stored, memoryview) else stored
