"""Dense layers of a whole image: their weights take its new order, so that it is not moved."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from tvm import relax

from assay.compiler import tvm_api
from assay.compiler.passes.layouts import axes, rank

if TYPE_CHECKING:
    import numpy.typing as npt

    from assay.compiler.passes.change_layout import Converter


def dense_of_image(to: Converter, call: Any) -> Any:
    """Return a ``matmul`` of a flattened twin and constant weights [inputs, outputs]; else None.

    Sums are those of the original one, in another order.
    """
    data, weights = call.args
    image = _image(to, data)
    if image is None or rank(weights) != 2:
        return None
    _, *extents = tvm_api.static_shape(image)
    inputs = np.arange(prod(extents)).reshape(extents)
    order = inputs.transpose([axis - 1 for axis in to.direction.order[1:]]).reshape(-1)
    moved = _taken(to, weights, order, 0)
    return None if moved is None else relax.op.matmul(_flat(to, data), moved)


def _image(to: Converter, expr: Any) -> Any:
    """Return the image with a twin that was flattened, and maybe dequantized after that."""
    value: Any = to.values.get(expr)
    if tvm_api.op_name(value) == "dequantize":
        return None if tvm_api.static_shape(value.args[1]) else _image(to, value.args[0])
    if tvm_api.op_name(value) != "reshape" or not to.has_twin(value.args[0]):
        return None
    batch, *extents = tvm_api.static_shape(value.args[0])
    return value.args[0] if tvm_api.static_shape(expr) == (batch, prod(extents)) else None


def _flat(to: Converter, expr: Any) -> Any:
    value = to.values[expr]
    if tvm_api.op_name(value) == "dequantize":
        inner = _flat(to, value.args[0])
        return to.builder_.emit(relax.Call(value.op, [inner, *value.args[1:]], value.attrs))
    return to.reshaped(to.twin(value.args[0]), tvm_api.static_shape(expr))


def _taken(to: Converter, expr: Any, order: npt.NDArray[np.intp], axis: int) -> Any:
    """Return constant weights with the indices along an axis in that order, None of others.

    They may be transposed and dequantized.
    """
    array = tvm_api.constant_value(expr)
    if array is not None:
        return relax.const(np.ascontiguousarray(array.take(order, axis)))
    value: Any = to.values.get(expr)
    name = tvm_api.op_name(value)
    if name == "permute_dims":
        axis = axes(value)[axis]
    elif name != "dequantize" or _scaled_along(value, axis):
        return None
    inner = _taken(to, value.args[0], order, axis)
    if inner is None:
        return None
    return to.builder_.emit(relax.Call(value.op, [inner, *value.args[1:]], value.attrs))


def _scaled_along(call: Any, axis: int) -> bool:
    per_axis = bool(tvm_api.static_shape(call.args[1]))
    return per_axis and int(call.attrs.axis) % rank(call) == axis
