"""How each operator works on images in another layout: the rules of ``change_layout``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import tvm
from tvm import relax

from assay.compiler import tvm_api
from assay.compiler.passes.flattened import dense_of_image
from assay.compiler.passes.layouts import axes, rank
from assay.compiler.passes.moved_twins import move_of_twin

if TYPE_CHECKING:
    from assay.compiler.passes.change_layout import Converter

Rule = Callable[["Converter", Any], Any]
"""Returns a call of a converter's value in the target's layout (or in the result's own form if
that is not 4-D), None if the operator has to stay as it is."""

_KERNEL_LAYOUTS = {"NHWC": ("HWIO", "HWOI"), "NCHW": ("OIHW",)}
"""What filters of a graph's convolutions look like; the first is what they are changed to."""


def in_layout(call: Any, layout: str) -> bool:
    """Tell whether a convolution, pooling or resizing is in that layout, as importers spell it."""
    attrs = call.attrs
    known = str(getattr(attrs, "kernel_layout", "")) in ("", *_KERNEL_LAYOUTS[layout])
    own = str(getattr(attrs, "data_layout", "") or getattr(attrs, "layout", ""))
    return known and own == layout


def _convolution(to: Converter, call: Any) -> Any:
    attrs, layouts = call.attrs, to.direction
    if not in_layout(call, layouts.source):
        return None
    wanted = _KERNEL_LAYOUTS[layouts.target][0]
    order = tuple(str(attrs.kernel_layout).index(axis) for axis in wanted)
    return relax.op.nn.conv2d(
        to.twin(call.args[0]),
        _filter(to, call.args[1], order),
        strides=list(attrs.strides),
        padding=list(attrs.padding),
        dilation=list(attrs.dilation),
        groups=int(attrs.groups),
        data_layout=layouts.target,
        kernel_layout=wanted,
    )


def _filter(to: Converter, expr: Any, order: tuple[int, ...]) -> Any:
    """Return weights with their axes in that order; the scales of quantized ones move along."""
    call = to.values.get(expr)
    if isinstance(call, tvm.ir.Call) and tvm_api.op_name(call) == "dequantize":
        values = tvm_api.constant_value(call.args[0])
        if values is not None:
            laid = relax.const(np.ascontiguousarray(values.transpose(order)))
            axis = order.index(int(call.attrs.axis) % 4)
            return to.builder_.emit(relax.op.dequantize(laid, *call.args[1:], axis=axis))
    values = tvm_api.constant_value(expr)
    if values is not None:
        return relax.const(np.ascontiguousarray(values.transpose(order)))
    return to.builder_.emit(relax.op.permute_dims(to.visit_expr(expr), order))


def _pool(to: Converter, call: Any) -> Any:
    attrs = call.attrs
    if not in_layout(call, to.direction.source) or not to.asks(call.args[0]):
        return None
    op = getattr(relax.op.nn, tvm_api.op_name(call).removeprefix("nn."))
    return op(
        to.twin(call.args[0]),
        pool_size=list(attrs.pool_size),
        strides=list(attrs.strides),
        padding=list(attrs.padding),
        dilation=list(attrs.dilation),
        ceil_mode=bool(attrs.ceil_mode),
        count_include_pad=bool(attrs.count_include_pad),
        layout=to.direction.target,
    )


def _unary(to: Converter, call: Any) -> Any:
    if not to.has_twin(call.args[0]):
        return None
    return relax.Call(call.op, [to.twin(call.args[0]), *call.args[1:]], call.attrs)


def _quantization(to: Converter, call: Any) -> Any:
    if not to.has_twin(call.args[0]):
        return None
    return requantized(to, call, to.twin(call.args[0]))


def requantized(to: Converter, call: Any, twin: Any) -> Any:
    """Return a quantize or dequantize call on its operand in the target's layout."""
    op = relax.op.quantize if tvm_api.op_name(call) == "quantize" else relax.op.dequantize
    axis = to.direction.moved(int(call.attrs.axis))
    return op(twin, *call.args[1:], axis=axis, out_dtype=str(call.attrs.out_dtype))


def _binary(to: Converter, call: Any) -> Any:
    if rank(call) != 4 or not any(to.has_twin(arg) for arg in call.args):
        return None
    return relax.Call(call.op, [to.spread(arg) for arg in call.args], call.attrs)


def _reduction(to: Converter, call: Any) -> Any:
    attrs = call.attrs
    if not to.has_twin(call.args[0]) or attrs.axis is None:
        return None
    moved = to.direction.moved
    reduced = [int(axis) % 4 for axis in attrs.axis]
    kept = [axis for axis in range(4) if axis not in reduced]
    in_order = [moved(axis) for axis in kept]
    if not attrs.keepdims and in_order != sorted(in_order):
        return None
    op = getattr(relax.op, tvm_api.op_name(call))
    axis = sorted(map(moved, reduced))
    return op(to.twin(call.args[0]), axis=axis, keepdims=bool(attrs.keepdims))


def _softmax(to: Converter, call: Any) -> Any:
    if not to.has_twin(call.args[0]):
        return None
    op = getattr(relax.op.nn, tvm_api.op_name(call).removeprefix("nn."))
    return op(to.twin(call.args[0]), axis=to.direction.moved(int(call.attrs.axis)))


def _concat(to: Converter, call: Any) -> Any:
    parts = call.args[0]
    if isinstance(parts, relax.Var):
        parts = to.values.get(parts)
    if not isinstance(parts, relax.Tuple) or call.attrs.axis is None or rank(call) != 4:
        return None
    if not any(to.has_twin(part) for part in parts.fields):
        return None
    twins = [to.twin(part) for part in parts.fields]
    return relax.op.concat(twins, axis=to.direction.moved(int(call.attrs.axis)))


def _split(to: Converter, call: Any) -> Any:
    if not to.has_twin(call.args[0]):
        return None
    given = call.attrs.indices_or_sections
    sections = [int(each) for each in given] if hasattr(given, "__len__") else int(given)
    axis = to.direction.moved(int(call.attrs.axis))
    return relax.op.split(to.twin(call.args[0]), sections, axis=axis)


def _pad(to: Converter, call: Any) -> Any:
    if not to.has_twin(call.args[0]):
        return None
    attrs = call.attrs
    widths = [int(width) for width in attrs.pad_width]
    pairs = [widths[2 * axis : 2 * axis + 2] for axis in to.direction.order]
    flat = [width for pair in pairs for width in pair]
    value = attrs.pad_value if str(attrs.pad_mode) == "constant" else 0.0
    return relax.op.nn.pad(to.twin(call.args[0]), flat, str(attrs.pad_mode), value)


def _resize(to: Converter, call: Any) -> Any:
    attrs = call.attrs
    if not in_layout(call, to.direction.source) or not to.asks(call.args[0]):
        return None
    return relax.op.image.resize2d(
        to.twin(call.args[0]),
        call.args[1],
        roi=list(attrs.roi),
        layout=to.direction.target,
        method=str(attrs.method),
        coordinate_transformation_mode=str(attrs.coordinate_transformation_mode),
        rounding_method=str(attrs.rounding_method),
        cubic_alpha=float(attrs.cubic_alpha),
        cubic_exclude=int(attrs.cubic_exclude),
        extrapolation_value=float(attrs.extrapolation_value),
    )


def _slice(to: Converter, call: Any) -> Any:
    if not to.has_twin(call.args[0]):
        return None
    along, *rest = call.args[1:]
    moved = [to.direction.moved(int(tvm_api.scalar(axis))) for axis in along.fields]
    return relax.op.strided_slice(to.twin(call.args[0]), moved, *rest)


def _take(to: Converter, call: Any) -> Any:
    if not to.has_twin(call.args[0]) or rank(call.args[1]) != 1 or call.attrs.axis is None:
        return None
    axis = to.direction.moved(int(call.attrs.axis))
    return relax.op.take(to.twin(call.args[0]), call.args[1], axis=axis, mode=str(call.attrs.mode))


def _flip(to: Converter, call: Any) -> Any:
    if not to.has_twin(call.args[0]):
        return None
    return relax.op.flip(to.twin(call.args[0]), axis=to.direction.moved(int(call.attrs.axis)))


def _tile(to: Converter, call: Any) -> Any:
    repeats = [int(count) for count in call.attrs.repeats]
    if not to.has_twin(call.args[0]) or len(repeats) != 4:
        return None
    return relax.op.tile(to.twin(call.args[0]), [repeats[axis] for axis in to.direction.order])


def _extreme(to: Converter, call: Any) -> Any:
    """Move the axis of an argmax; what is left of an image without channels keeps its order."""
    if not to.has_twin(call.args[0]) or call.attrs.axis is None:
        return None
    axis, keepdims = int(call.attrs.axis) % 4, bool(call.attrs.keepdims)
    if not keepdims and to.direction.source[axis] != "C":
        return None
    op = getattr(relax.op, tvm_api.op_name(call))
    return op(to.twin(call.args[0]), axis=to.direction.moved(axis), keepdims=keepdims)


def _move(to: Converter, call: Any) -> Any:
    """Move the twin if the result is an image as well: one that a convolution reads."""
    image = rank(call) == 4 and to.reaches_convolution(call)
    return move_of_twin(to, call, to.direction.order) if image else None


def _transpose(to: Converter, call: Any) -> Any:
    """Take what a transpose from the target's layout was made of."""
    if rank(call) == 4 and axes(call) == to.direction.back:
        return to.visit_expr(call.args[0])
    return _move(to, call)


# fmt: off
_UNARY = (
    "nn.relu", "clip", "sigmoid", "tanh", "nn.leakyrelu", "nn.gelu", "nn.gelu_tanh", "nn.silu",
    "exp", "log", "sqrt", "rsqrt", "abs", "negative", "erf", "square", "floor", "ceil", "round",
    "astype", "sin", "cos", "sign", "logical_not",
)
_BINARY = (
    "add", "subtract", "multiply", "divide", "maximum", "minimum", "power", "floor_divide",
    "floor_mod", "equal", "not_equal", "less", "less_equal", "greater", "greater_equal",
    "logical_and", "logical_or",
)
# fmt: on
_REDUCTIONS = ("mean", "sum", "max", "min", "prod")
RULES: Mapping[str, Rule] = {
    "nn.conv2d": _convolution,
    "nn.max_pool2d": _pool,
    "nn.avg_pool2d": _pool,
    "quantize": _quantization,
    "dequantize": _quantization,
    "nn.softmax": _softmax,
    "nn.log_softmax": _softmax,
    "concat": _concat,
    "split": _split,
    "strided_slice": _slice,
    "take": _take,
    "flip": _flip,
    "tile": _tile,
    "argmax": _extreme,
    "argmin": _extreme,
    "nn.pad": _pad,
    "image.resize2d": _resize,
    "matmul": dense_of_image,
    "reshape": _move,
    "permute_dims": _transpose,
    **dict.fromkeys(_UNARY, _unary),
    **dict.fromkeys(_BINARY, _binary),
    **dict.fromkeys(_REDUCTIONS, _reduction),
}
