"""NHWC to NCHW: TVM's ConvertLayout, and what it lacks to leave no transpose inside the network.

TVM 0.27 stops at operators that say nothing about layouts (clip, quantize, dequantize), and lets
a per-channel constant of rank 1 pull its consumer back to the layout it came in: two transposes
around nearly every convolution.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tvm
from tvm import relax
from tvm.ir import Op, register_op_attr
from tvm.relax.expr_functor import PyExprMutator, mutator

from assay.compiler import tvm_api
from assay.compiler.passes.nhwc_rules import TO_NCHW, TO_NHWC, axes
from assay.errors import ConfigError

_CONVOLUTIONS = {
    "conv2d": ("relax.nn.conv2d", ["NCHW", "OIHW"]),
    "conv2d_transpose": ("relax.nn.conv2d_transpose", ["NCHW", "IOHW"]),
}
_CARRIERS = {
    "clip": ("relax.clip",),
    "quantize": ("relax.quantize",),
    "dequantize": ("relax.dequantize",),
    "leakyrelu": ("relax.nn.leakyrelu",),
    # Relay's name for a convolution on quantized tensors; here it is spelled with these three.
    "qnn.conv2d": ("relax.quantize", "relax.dequantize", "relax.clip"),
}
_BINARY = {"relax.add", "relax.subtract", "relax.multiply", "relax.divide"}
_INFER = "FRelaxInferLayout"


def convertible(ops: tuple[str, ...] | None) -> tuple[str, ...]:
    """Check ``Config.convert_ops``; ``relax.`` and ``nn.`` may be left out, None means all.

    ConfigError names the operators that take part in a conversion.
    """
    known = (*_CONVOLUTIONS, *_CARRIERS)
    if ops is None:
        return known
    names = tuple(op.removeprefix("relax.").removeprefix("nn.") for op in ops)
    for op, name in zip(ops, names, strict=True):
        if name not in known:
            raise ConfigError(
                f"convert-ops: {op!r} takes no part in a layout conversion, only {', '.join(known)}"
            )
    return names


def convert_layout(ops: tuple[str, ...] | None, propagate: bool) -> Any:
    """Return the module pass that converts the named convolutions to NCHW.

    ``propagate`` also lets the layout pass through the named element-wise operators and through
    per-channel constants; without it the conversion is TVM's own. ConfigError on unknown names.
    """
    names = convertible(ops)
    desired = dict(_CONVOLUTIONS[name] for name in names if name in _CONVOLUTIONS)
    carriers = {op for name in names for op in _CARRIERS.get(name, ())} if propagate else set()

    @tvm.transform.module_pass(opt_level=0, name="ConvertLayoutNCHW")
    def run(mod: Any, _context: Any) -> Any:
        if propagate:
            mod = _widen_constants(mod)
            if "relax.nn.conv2d_transpose" in desired:
                mod = _rewritten(_TransposesTaken(mod), mod)
        with _layout_passes_through(carriers):
            mod = relax.transform.ConvertLayout(desired)(mod)
        if propagate:
            mod = _rewritten(_Transposes(mod, "relax.dequantize" in carriers), mod)
        return relax.transform.CanonicalizeBindings()(mod)

    return run


@contextmanager
def _layout_passes_through(ops: set[str]) -> Iterator[None]:
    """For the time of the block, treat the operators as element-wise for layout inference.

    relax.nn.relu's own inference function serves: one tensor in, one out, axes untouched. The
    other operands (limits, scale, zero point) have to be scalars, as per-tensor ones are.
    """
    infer = Op.get("relax.nn.relu").get_attr(_INFER)
    added = [op for op in sorted(ops) if Op.get(op).get_attr(_INFER) is None]
    for op in added:
        register_op_attr(op, _INFER, infer)
    try:
        yield
    finally:
        for op in added:
            Op.get(op).reset_attr(_INFER)


def _rewritten(mutate: Any, mod: Any) -> Any:
    for var, function in mod.functions_items():
        if isinstance(function, relax.Function):
            mutate.builder_.update_func(var, mutate.visit_expr(function))
    return mutate.builder_.get()


def _widen_constants(mod: Any) -> Any:
    """Give constants next to a 4-D operand four dimensions: layout inference follows the lower.

    So with what is dequantized from a constant, as biases are.
    """
    return _rewritten(_Widener(mod), mod)


@mutator
class _Transposes(PyExprMutator):
    """Makes the transposes that are left cheaper.

    One that only moves axes of size 1 becomes a reshape: no element changes its place. Images of
    one pixel or of one channel have such. With ``of_integers``, what is behind dequantize goes
    before it, where it moves integers and leaves dequantize next to its convolution.
    """

    def __init__(self, mod: Any, of_integers: bool) -> None:
        super().__init__(mod)
        self._of_integers = of_integers

    def visit_call_(self, call: Any) -> Any:
        call = self.visit_expr_post_order(call)
        if tvm_api.op_name(call) != "permute_dims" or tvm_api.is_constant(call.args[0]):
            return call
        shape = tvm_api.static_shape(call.args[0])
        axes = [int(axis) for axis in call.attrs.axes or reversed(range(len(shape)))]
        kept = [axis for axis in axes if shape[axis] != 1]
        if kept == sorted(kept):
            call = relax.op.reshape(call.args[0], [shape[axis] for axis in axes])
        return self._before_dequantize(call) if self._of_integers else call

    def _before_dequantize(self, call: Any) -> Any:
        source = call.args[0]
        made = self.lookup_binding(source) if isinstance(source, relax.Var) else None
        if made is None or tvm_api.op_name(made) != "dequantize":
            return call
        per_tensor = not tvm_api.static_shape(made.args[1])
        if not per_tensor or not isinstance(made.args[0], relax.Var):
            return call
        moved = self.builder_.emit(relax.Call(call.op, [made.args[0], *call.args[1:]], call.attrs))
        return relax.Call(made.op, [moved, *made.args[1:]], made.attrs)


@mutator
class _TransposesTaken(PyExprMutator):
    """Makes transposed convolutions in NCHW between transposes from and to NHWC ones in NHWC.

    They come so because TVM has code for NCHW only; but its inference of layouts sees a border in
    each transpose that a model spells out.
    """

    def visit_call_(self, call: Any) -> Any:
        call = self.visit_expr_post_order(call)
        convolution: Any = self._argument(call) if _transposes(call, TO_NHWC) else None
        if tvm_api.op_name(convolution) != "nn.conv2d_transpose":
            return call
        before, attrs = self._argument(convolution), convolution.attrs
        layouts = (str(attrs.data_layout), str(attrs.out_layout), str(attrs.kernel_layout))
        if not _transposes(before, TO_NCHW) or layouts != ("NCHW", "NCHW", "IOHW"):
            return call
        return relax.op.nn.conv2d_transpose(
            before.args[0],
            convolution.args[1],
            strides=list(attrs.strides),
            padding=list(attrs.padding),
            output_padding=list(attrs.output_padding),
            dilation=list(attrs.dilation),
            groups=int(attrs.groups),
            data_layout="NHWC",
            kernel_layout="IOHW",
        )

    def _argument(self, call: Any) -> Any:
        """Return what makes the first argument of a call; None if it is no variable."""
        first = call.args[0]
        return self.lookup_binding(first) if isinstance(first, relax.Var) else None


def _transposes(call: Any, order: tuple[int, ...]) -> bool:
    return tvm_api.op_name(call) == "permute_dims" and axes(call) == order


@mutator
class _Widener(PyExprMutator):
    def visit_call_(self, call: Any) -> Any:
        call = self.visit_expr_post_order(call)
        if getattr(call.op, "name", None) not in _BINARY:
            return call
        rank = max(len(arg.ty.shape) for arg in call.args)
        if rank != 4:
            return call
        return relax.Call(call.op, [self._widened(arg, rank) for arg in call.args], call.attrs)

    def _widened(self, arg: Any, rank: int) -> Any:
        shape = tuple(int(extent) for extent in arg.ty.shape)
        wide = (1,) * (rank - len(shape)) + shape
        if len(shape) in (0, rank):
            return arg
        if tvm_api.is_constant(arg):
            return relax.const(np.reshape(arg.value.numpy(), wide))
        made = self.lookup_binding(arg) if isinstance(arg, relax.Var) else None
        if made is None or tvm_api.op_name(made) != "dequantize":
            return arg
        source = made.args[0]
        if isinstance(source, relax.Var):
            source = self.lookup_binding(source)
        constant = source is not None and tvm_api.is_constant(source)
        return self.builder_.emit(relax.op.reshape(arg, wide)) if constant else arg
