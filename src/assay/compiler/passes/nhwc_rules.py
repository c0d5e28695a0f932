"""How each operator works on values in NHWC instead of NCHW: the rules of ``to_nhwc``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import tvm
from tvm import relax

from assay.compiler import tvm_api

if TYPE_CHECKING:
    from assay.compiler.passes.to_nhwc import Converter

TO_NHWC = (0, 2, 3, 1)
TO_NCHW = (0, 3, 1, 2)

Rule = Callable[["Converter", Any], Any]
"""Returns a call of a converter's value in NHWC (or in the result's own form if that is not 4-D),
None if the operator has to stay as it is."""


def is_nchw(call: Any) -> bool:
    """Tell whether a convolution or pooling is in ONNX's layouts."""
    attrs = call.attrs
    kernel = str(getattr(attrs, "kernel_layout", "OIHW"))
    layout = str(getattr(attrs, "data_layout", "") or getattr(attrs, "layout", ""))
    return layout == "NCHW" and kernel == "OIHW"


def axes(call: Any) -> tuple[int, ...]:
    """Return the order of a ``permute_dims``, counted from the front."""
    given = call.attrs.axes
    if given is None:
        return tuple(range(len(call.ty.shape)))[::-1]
    return tuple(int(axis) % len(call.ty.shape) for axis in given)


def _moved(axis: int) -> int:
    """Return where an axis of NCHW lies in NHWC."""
    return TO_NHWC.index(axis % 4)


def _rank(expr: Any) -> int:
    return len(expr.ty.shape) if hasattr(expr.ty, "shape") else -1


def _convolution(to: Converter, call: Any) -> Any:
    attrs = call.attrs
    weights = _filter(to, call.args[1])
    if not is_nchw(call) or weights is None:
        return None
    return relax.op.nn.conv2d(
        to.twin(call.args[0]),
        weights,
        strides=list(attrs.strides),
        padding=list(attrs.padding),
        dilation=list(attrs.dilation),
        groups=int(attrs.groups),
        data_layout="NHWC",
        kernel_layout="HWIO",
    )


def _filter(to: Converter, expr: Any) -> Any:
    """Return OIHW weights as HWIO; the scales of quantized ones move with their axis."""
    order = (2, 3, 1, 0)
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
    if not is_nchw(call):
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
        layout="NHWC",
    )


def _unary(to: Converter, call: Any) -> Any:
    if not to.has_twin(call.args[0]):
        return None
    return relax.Call(call.op, [to.twin(call.args[0]), *call.args[1:]], call.attrs)


def _quantization(to: Converter, call: Any) -> Any:
    if not to.has_twin(call.args[0]):
        return None
    return requantized(call, to.twin(call.args[0]))


def requantized(call: Any, twin: Any) -> Any:
    """Return a quantize or dequantize call on the NHWC form of its operand."""
    op = relax.op.quantize if tvm_api.op_name(call) == "quantize" else relax.op.dequantize
    axis = _moved(int(call.attrs.axis))
    return op(twin, *call.args[1:], axis=axis, out_dtype=str(call.attrs.out_dtype))


def _binary(to: Converter, call: Any) -> Any:
    if _rank(call) != 4 or not any(to.has_twin(arg) for arg in call.args):
        return None
    return relax.Call(call.op, [to.spread(arg) for arg in call.args], call.attrs)


def _reduction(to: Converter, call: Any) -> Any:
    attrs = call.attrs
    if not to.has_twin(call.args[0]) or attrs.axis is None:
        return None
    reduced = [int(axis) % 4 for axis in attrs.axis]
    moved = sorted(_moved(axis) for axis in reduced)
    kept = [axis for axis in range(4) if axis not in reduced]
    in_order = [_moved(axis) for axis in kept]
    if not attrs.keepdims and in_order != sorted(in_order):
        return None
    op = getattr(relax.op, tvm_api.op_name(call))
    return op(to.twin(call.args[0]), axis=moved, keepdims=bool(attrs.keepdims))


def _softmax(to: Converter, call: Any) -> Any:
    if not to.has_twin(call.args[0]):
        return None
    op = getattr(relax.op.nn, tvm_api.op_name(call).removeprefix("nn."))
    return op(to.twin(call.args[0]), axis=_moved(int(call.attrs.axis)))


def _concat(to: Converter, call: Any) -> Any:
    parts = call.args[0]
    if isinstance(parts, relax.Var):
        parts = to.values.get(parts)
    if not isinstance(parts, relax.Tuple) or call.attrs.axis is None or _rank(call) != 4:
        return None
    if not any(to.has_twin(part) for part in parts.fields):
        return None
    twins = [to.twin(part) for part in parts.fields]
    return relax.op.concat(twins, axis=_moved(int(call.attrs.axis)))


def _split(to: Converter, call: Any) -> Any:
    if not to.has_twin(call.args[0]):
        return None
    given = call.attrs.indices_or_sections
    sections = [int(each) for each in given] if hasattr(given, "__len__") else int(given)
    return relax.op.split(to.twin(call.args[0]), sections, axis=_moved(int(call.attrs.axis)))


def _pad(to: Converter, call: Any) -> Any:
    if not to.has_twin(call.args[0]):
        return None
    attrs = call.attrs
    widths = [int(width) for width in attrs.pad_width]
    pairs = [widths[2 * axis : 2 * axis + 2] for axis in TO_NHWC]
    flat = [width for pair in pairs for width in pair]
    value = attrs.pad_value if str(attrs.pad_mode) == "constant" else 0.0
    return relax.op.nn.pad(to.twin(call.args[0]), flat, str(attrs.pad_mode), value)


def _resize(to: Converter, call: Any) -> Any:
    attrs = call.attrs
    if str(attrs.layout) != "NCHW":
        return None
    return relax.op.image.resize2d(
        to.twin(call.args[0]),
        call.args[1],
        roi=list(attrs.roi),
        layout="NHWC",
        method=str(attrs.method),
        coordinate_transformation_mode=str(attrs.coordinate_transformation_mode),
        rounding_method=str(attrs.rounding_method),
        cubic_alpha=float(attrs.cubic_alpha),
        cubic_exclude=int(attrs.cubic_exclude),
        extrapolation_value=float(attrs.extrapolation_value),
    )


def _reshape(to: Converter, call: Any) -> Any:
    """Reshape a twin directly if its elements lie in the same order: one pixel or one channel."""
    data = call.args[0]
    if not to.has_twin(data) or _rank(call) == 4:
        return None
    _, channels, height, width = tvm_api.static_shape(data)
    if channels > 1 and height * width > 1:
        return None
    return relax.op.reshape(to.twin(data), tvm_api.static_shape(call))


def _transpose(to: Converter, call: Any) -> Any:
    """Take what a transpose from NHWC was made of."""
    return None if axes(call) != TO_NCHW else to.visit_expr(call.args[0])


# fmt: off
_UNARY = (
    "nn.relu", "clip", "sigmoid", "tanh", "nn.leakyrelu", "nn.gelu", "nn.silu", "exp", "log",
    "sqrt", "rsqrt", "abs", "negative", "erf", "square", "floor", "ceil", "round", "astype",
    "sin", "cos", "sign",
)
# fmt: on
_BINARY = ("add", "subtract", "multiply", "divide", "maximum", "minimum", "power")
_REDUCTIONS = ("mean", "sum", "max", "min")
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
    "nn.pad": _pad,
    "image.resize2d": _resize,
    "reshape": _reshape,
    "permute_dims": _transpose,
    **dict.fromkeys(_UNARY, _unary),
    **dict.fromkeys(_BINARY, _binary),
    **dict.fromkeys(_REDUCTIONS, _reduction),
}
