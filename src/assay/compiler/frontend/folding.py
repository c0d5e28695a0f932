"""Operators on values that are known when a model is compiled, computed with NumPy.

Converters write arithmetic on shapes into the graph (SHAPE, STRIDED_SLICE, PACK, RESHAPE after
each squeeze-and-excitation block of a Keras network). Shapes are static here, so all of that is
constant. Source of the semantics: TFLite's reference kernels. No TVM here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from assay.compiler.frontend.slices import box, strides_index
from assay.model.facts import Operator

Array = npt.NDArray[Any]
Fold = Callable[[Operator, Sequence[Array]], Any]


def fold(operator: Operator, operands: Sequence[Array], dtypes: Sequence[str]) -> list[Array]:
    """Return what an operator of ``FOLDS`` makes of its operands, an array for each output.

    ``dtypes`` are those of the outputs. For SHAPE_ONLY operators any array of the operand's shape
    will do. ValueError if the result would be absurdly large; what NumPy raises on operands that
    do not fit each other passes through.
    """
    if operator.name in _GROWING and _GROWING[operator.name](operands) > _MAX_ELEMENTS:
        raise ValueError("the constant that it makes does not fit into memory")
    with np.errstate(all="ignore"):
        result = FOLDS[operator.name](operator, operands)
        results = result if isinstance(result, list) else [result]
        return [np.asarray(r).astype(t) for r, t in zip(results, dtypes, strict=True)]


def _plain(function: Callable[..., Any]) -> Fold:
    return lambda operator, operands: function(*operands)


def _axes(axis: Array) -> tuple[int, ...]:
    return tuple(int(a) for a in axis.ravel())


def _reduction(function: Callable[..., Any]) -> Fold:
    def reduce(operator: Operator, operands: Sequence[Array]) -> Any:
        data, axis = operands
        keep = bool(operator.attributes.get("keep_dims", False))
        return function(data, axis=_axes(axis), keepdims=keep)

    return reduce


def _divide(a: Array, b: Array) -> Any:
    """Divide; integers towards zero, as C does."""
    if a.dtype.kind == "f":
        return a / b
    quotient = np.abs(a) // np.abs(b)
    return np.where((a < 0) != (b < 0), -quotient, quotient)


def _gather(operator: Operator, operands: Sequence[Array]) -> Any:
    data, indices = operands
    axis = int(operator.attributes.get("axis", 0)) % data.ndim
    batch = int(operator.attributes.get("batch_dims", 0)) % max(indices.ndim, 1)
    if batch == 0:
        return np.take(data, indices, axis)
    parts = [
        np.take(data[at], indices[at], axis - batch) for at in np.ndindex(*indices.shape[:batch])
    ]
    return np.reshape(parts, data.shape[:axis] + indices.shape[batch:] + data.shape[axis + 1 :])


def _split(operator: Operator, operands: Sequence[Array]) -> list[Array]:
    axis, data = operands
    return np.split(data, len(operator.outputs), int(axis.item()))


def _unpack(operator: Operator, operands: Sequence[Array]) -> list[Array]:
    axis = int(operator.attributes.get("axis", 0))
    return list(np.moveaxis(operands[0], axis, 0))


def _squeeze(operator: Operator, operands: Sequence[Array]) -> Any:
    return np.squeeze(operands[0], tuple(operator.attributes.get("squeeze_dims", ())) or None)


def _strided_slice(operator: Operator, operands: Sequence[Array]) -> Any:
    data, begin, end, strides = operands
    return data[strides_index(operator.attributes, begin, end, strides)]


def _reshape(operator: Operator, operands: Sequence[Array]) -> Any:
    shape = operands[1].ravel() if len(operands) > 1 else operator.attributes["new_shape"]
    return operands[0].reshape([int(size) for size in shape])


def _steps(start: Array, limit: Array, delta: Array) -> float:
    return abs(float(limit) - float(start)) / max(abs(float(delta)), 1e-30)


_MAX_ELEMENTS = 1 << 28  # 1 GiB of float32

# Operators whose output is as large as their operands say -> its elements.
_GROWING: dict[str, Callable[[Sequence[Array]], float]] = {
    "BROADCAST_TO": lambda x: math.prod(x[1].ravel().tolist()),
    "FILL": lambda x: math.prod(x[0].ravel().tolist()),
    "RANGE": lambda x: _steps(*x),
    "TILE": lambda x: x[0].size * math.prod(x[1].ravel().tolist()),
}

FOLDS: dict[str, Fold] = {
    "SHAPE": lambda op, x: np.array(x[0].shape, np.int64),
    "RANK": lambda op, x: x[0].ndim,
    "ABS": _plain(np.abs),
    "ADD": _plain(np.add),
    "BROADCAST_ARGS": _plain(lambda a, b: np.broadcast_shapes(tuple(a), tuple(b))),
    "BROADCAST_TO": _plain(lambda x, shape: np.broadcast_to(x, tuple(shape))),
    "CAST": _plain(np.asarray),
    "CEIL": _plain(np.ceil),
    "CONCATENATION": lambda op, x: np.concatenate(x, op.attributes["axis"]),
    "DEQUANTIZE": _plain(np.asarray),  # of float16; quantized operands are not folded
    "DIV": _plain(_divide),
    "EQUAL": _plain(np.equal),
    "EXPAND_DIMS": _plain(lambda x, axis: np.expand_dims(x, int(axis.item()))),
    "FILL": _plain(lambda shape, value: np.full(tuple(shape), value)),
    "FLOOR": _plain(np.floor),
    "FLOOR_DIV": _plain(np.floor_divide),
    "FLOOR_MOD": _plain(np.mod),
    "GATHER": _gather,
    "GREATER": _plain(np.greater),
    "GREATER_EQUAL": _plain(np.greater_equal),
    "LESS": _plain(np.less),
    "LESS_EQUAL": _plain(np.less_equal),
    "LOGICAL_AND": _plain(np.logical_and),
    "LOGICAL_NOT": _plain(np.logical_not),
    "LOGICAL_OR": _plain(np.logical_or),
    "MAXIMUM": _plain(np.maximum),
    "MINIMUM": _plain(np.minimum),
    "MUL": _plain(np.multiply),
    "NEG": _plain(np.negative),
    "NOT_EQUAL": _plain(np.not_equal),
    "PACK": lambda op, x: np.stack(x, op.attributes.get("axis", 0)),
    "RANGE": _plain(lambda start, limit, delta: np.arange(start, limit, delta)),
    "REDUCE_MAX": _reduction(np.max),
    "REDUCE_MIN": _reduction(np.min),
    "REDUCE_PROD": _reduction(np.prod),
    "RESHAPE": _reshape,
    "ROUND": _plain(np.round),
    "SELECT": _plain(np.where),
    "SELECT_V2": _plain(np.where),
    "SLICE": _plain(lambda x, begin, size: x[box(begin, size)]),
    "SPLIT": _split,
    "SQUEEZE": _squeeze,
    "STRIDED_SLICE": _strided_slice,
    "SUB": _plain(np.subtract),
    "SUM": _reduction(np.sum),
    "TILE": _plain(lambda x, multiples: np.tile(x, tuple(multiples))),
    "TRANSPOSE": _plain(lambda x, axes: np.transpose(x, tuple(axes))),
    "UNPACK": _unpack,
    "ZEROS_LIKE": _plain(np.zeros_like),
}
"""Operator of ``known.FOLDABLE`` -> what it computes of its operands."""
