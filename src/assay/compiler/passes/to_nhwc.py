"""NCHW to NHWC for the whole network: ONNX files are NCHW, and most kernels of assay's are NHWC.

Each 4-D value of the graph gets a twin in NHWC as soon as an operator with a layout makes or needs
one; twins are passed on by every operator that can work on them, and a value goes back to NCHW only
where one needs it so. What remains are transposes at the border of the network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from assay.compiler import tvm_api

TO_NHWC = (0, 2, 3, 1)
TO_NCHW = (0, 3, 1, 2)


def to_nhwc() -> Any:
    """Return the module pass; it does nothing to a graph without convolutions in NCHW."""

    @tvm.transform.module_pass(opt_level=0, name="ConvertToNHWC")
    def run(mod: Any, _context: Any) -> Any:
        calls = tvm_api.op_calls(mod["main"])
        if not any(tvm_api.op_name(call) == "nn.conv2d" and _is_nchw(call) for call in calls):
            return mod
        mod = relax.transform.CanonicalizeBindings()(mod)
        return relax.transform.DeadCodeElimination(["main"])(_Converter(mod).run())

    return run


def _is_nchw(call: Any) -> bool:
    attrs = call.attrs
    kernel = str(getattr(attrs, "kernel_layout", "OIHW"))
    layout = str(getattr(attrs, "data_layout", "") or getattr(attrs, "layout", ""))
    return layout == "NCHW" and kernel == "OIHW"


@mutator
class _Converter(PyExprMutator):
    """Emits each call in NHWC where a rule says how, and its NCHW form for whoever needs that."""

    def __init__(self, mod: Any) -> None:
        super().__init__(mod)
        self._twins: dict[Any, Any] = {}
        self._tuples: dict[Any, Any] = {}
        self.values: dict[Any, Any] = {}

    def run(self) -> Any:
        """Return the module with ``main`` converted."""
        main = self.builder_.get().get_global_var("main")
        function = self.builder_.get()[main]
        self.values = {
            binding.var: binding.value
            for block in function.body.blocks
            for binding in block.bindings
        }
        self.builder_.update_func(main, self.visit_expr(function))
        return self.builder_.get()

    def visit_var_binding_(self, binding: Any) -> None:
        """Emit the twin of a binding, if there is to be one, and its transpose."""
        value, var = binding.value, binding.var
        if isinstance(value, relax.TupleGetItem) and value.tuple_value in self._tuples:
            made = relax.TupleGetItem(self._tuples[value.tuple_value], value.index)
            self._set_twin(var, made)
            return
        rule = _RULES.get(tvm_api.op_name(value)) if isinstance(value, tvm.ir.Call) else None
        made = rule(self, value) if rule is not None else None
        if made is None:
            super().visit_var_binding_(binding)
        elif isinstance(var.ty, relax.TupleType):
            self._tuples[var] = self.builder_.emit(made)
            super().visit_var_binding_(binding)
        elif len(var.ty.shape) == 4:
            self._set_twin(var, made)
        else:
            self.set_var_remap(var, self._emit(var, made))

    def _set_twin(self, var: Any, made: Any) -> None:
        self._twins[var] = self.builder_.emit(made)
        back = relax.op.permute_dims(self._twins[var], TO_NCHW)
        self.set_var_remap(var, self._emit(var, back))

    def _emit(self, var: Any, value: Any) -> Any:
        inside = isinstance(var, relax.DataflowVar)
        return self.builder_.emit(value) if inside else self.builder_.emit_output(value)

    def has_twin(self, expr: Any) -> bool:
        """Tell whether a value exists in NHWC."""
        return expr in self._twins if isinstance(expr, relax.Var) else False

    def twin(self, expr: Any) -> Any:
        """Return a 4-D value in NHWC."""
        if tvm_api.is_constant(expr):
            return relax.const(np.ascontiguousarray(expr.value.numpy().transpose(TO_NHWC)))
        if expr not in self._twins:
            self._twins[expr] = self.builder_.emit(self._pulled(expr))
        return self._twins[expr]

    def _pulled(self, expr: Any) -> Any:
        """Return what makes an NHWC form: before quantizing rather than between two operators."""
        value: Any = self.values.get(expr)
        name = tvm_api.op_name(value) if isinstance(value, tvm.ir.Call) else ""
        if name in ("quantize", "dequantize"):
            return _requantized(value, self.twin(value.args[0]))
        if name == "permute_dims" and _axes(value) == TO_NCHW:
            return self.visit_expr(value.args[0])
        return relax.op.permute_dims(self.visit_expr(expr), TO_NHWC)

    def spread(self, expr: Any) -> Any:
        """Return an operand of lower rank, or of fewer elements, so that it spreads over NHWC."""
        value = self.values.get(expr)
        own = tvm_api.static_shape(expr)
        if isinstance(value, tvm.ir.Call) and tvm_api.op_name(value) == "reshape":
            inner = tvm_api.static_shape(value.args[0])
            # A bias: [C] -> [1, C, 1, 1]
            if len(inner) == 1 and own == (1, inner[0], 1, 1):
                return self.visit_expr(value.args[0])
        if tvm_api.is_constant(expr):
            array = expr.value.numpy()
            if array.size == 1:
                return relax.const(array.reshape(()))
            array = array.reshape((1,) * (4 - array.ndim) + array.shape).transpose(TO_NHWC)
            whole = array.shape[:3] == (1, 1, 1)
            return relax.const(np.ascontiguousarray(array.reshape(-1) if whole else array))
        if len(own) == 4:
            return self.twin(expr)
        if len(own) == 0:
            return self.visit_expr(expr)
        full = relax.op.reshape(self.visit_expr(expr), (1,) * (4 - len(own)) + own)
        return self.builder_.emit(relax.op.permute_dims(self.builder_.emit(full), TO_NHWC))


Rule = Callable[[_Converter, Any], Any]
"""Returns a call of a converter's value in NHWC (or in the result's own form if that is not 4-D),
None if the operator has to stay as it is."""


def _axes(call: Any) -> tuple[int, ...]:
    given = call.attrs.axes
    if given is None:
        return tuple(range(len(call.ty.shape)))[::-1]
    return tuple(int(axis) % len(call.ty.shape) for axis in given)


def _moved(axis: int) -> int:
    """Return where an axis of NCHW lies in NHWC."""
    return TO_NHWC.index(axis % 4)


def _rank(expr: Any) -> int:
    return len(expr.ty.shape) if hasattr(expr.ty, "shape") else -1


def _convolution(to: _Converter, call: Any) -> Any:
    attrs = call.attrs
    weights = _filter(to, call.args[1])
    if not _is_nchw(call) or weights is None:
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


def _filter(to: _Converter, expr: Any) -> Any:
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


def _pool(to: _Converter, call: Any) -> Any:
    attrs = call.attrs
    if not _is_nchw(call):
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


def _unary(to: _Converter, call: Any) -> Any:
    if not to.has_twin(call.args[0]):
        return None
    return relax.Call(call.op, [to.twin(call.args[0]), *call.args[1:]], call.attrs)


def _quantization(to: _Converter, call: Any) -> Any:
    if not to.has_twin(call.args[0]):
        return None
    return _requantized(call, to.twin(call.args[0]))


def _requantized(call: Any, twin: Any) -> Any:
    op = relax.op.quantize if tvm_api.op_name(call) == "quantize" else relax.op.dequantize
    axis = _moved(int(call.attrs.axis))
    return op(twin, *call.args[1:], axis=axis, out_dtype=str(call.attrs.out_dtype))


def _binary(to: _Converter, call: Any) -> Any:
    if _rank(call) != 4 or not any(to.has_twin(arg) for arg in call.args):
        return None
    return relax.Call(call.op, [to.spread(arg) for arg in call.args], call.attrs)


def _reduction(to: _Converter, call: Any) -> Any:
    attrs = call.attrs
    if not to.has_twin(call.args[0]) or attrs.axis is None:
        return None
    axes = [int(axis) % 4 for axis in attrs.axis]
    moved = sorted(_moved(axis) for axis in axes)
    kept = [axis for axis in range(4) if axis not in axes]
    in_order = [_moved(axis) for axis in kept]
    if not attrs.keepdims and in_order != sorted(in_order):
        return None
    op = getattr(relax.op, tvm_api.op_name(call))
    return op(to.twin(call.args[0]), axis=moved, keepdims=bool(attrs.keepdims))


def _softmax(to: _Converter, call: Any) -> Any:
    if not to.has_twin(call.args[0]):
        return None
    op = getattr(relax.op.nn, tvm_api.op_name(call).removeprefix("nn."))
    return op(to.twin(call.args[0]), axis=_moved(int(call.attrs.axis)))


def _concat(to: _Converter, call: Any) -> Any:
    parts = call.args[0]
    if isinstance(parts, relax.Var):
        parts = to.values.get(parts)
    if not isinstance(parts, relax.Tuple) or call.attrs.axis is None or _rank(call) != 4:
        return None
    if not any(to.has_twin(part) for part in parts.fields):
        return None
    twins = [to.twin(part) for part in parts.fields]
    return relax.op.concat(twins, axis=_moved(int(call.attrs.axis)))


def _split(to: _Converter, call: Any) -> Any:
    if not to.has_twin(call.args[0]):
        return None
    given = call.attrs.indices_or_sections
    sections = [int(each) for each in given] if hasattr(given, "__len__") else int(given)
    return relax.op.split(to.twin(call.args[0]), sections, axis=_moved(int(call.attrs.axis)))


def _pad(to: _Converter, call: Any) -> Any:
    if not to.has_twin(call.args[0]):
        return None
    attrs = call.attrs
    widths = [int(width) for width in attrs.pad_width]
    pairs = [widths[2 * axis : 2 * axis + 2] for axis in TO_NHWC]
    flat = [width for pair in pairs for width in pair]
    value = attrs.pad_value if str(attrs.pad_mode) == "constant" else 0.0
    return relax.op.nn.pad(to.twin(call.args[0]), flat, str(attrs.pad_mode), value)


def _resize(to: _Converter, call: Any) -> Any:
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


def _reshape(to: _Converter, call: Any) -> Any:
    """Reshape a twin directly if its elements lie in the same order: one pixel or one channel."""
    data = call.args[0]
    if not to.has_twin(data) or _rank(call) == 4:
        return None
    _, channels, height, width = tvm_api.static_shape(data)
    if channels > 1 and height * width > 1:
        return None
    return relax.op.reshape(to.twin(data), tvm_api.static_shape(call))


def _transpose(to: _Converter, call: Any) -> Any:
    """Take what a transpose from NHWC was made of."""
    return None if _axes(call) != TO_NCHW else to.visit_expr(call.args[0])


# fmt: off
_UNARY = (
    "nn.relu", "clip", "sigmoid", "tanh", "nn.leakyrelu", "nn.gelu", "nn.silu", "exp", "log",
    "sqrt", "rsqrt", "abs", "negative", "erf", "square", "floor", "ceil", "round", "astype",
    "sin", "cos", "sign",
)
# fmt: on
_BINARY = ("add", "subtract", "multiply", "divide", "maximum", "minimum", "power")
_REDUCTIONS = ("mean", "sum", "max", "min")
_RULES: Mapping[str, Rule] = {
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
