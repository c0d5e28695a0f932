"""Fold what importers and layout conversion do to weights, with NumPy.

TVM's FoldConstant compiles a kernel for each folded call, about 0.1 s a weight tensor. The three
operators that weights go through need none: this pass takes them, FoldConstant has the rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from assay.compiler import tvm_api


def fold_weights() -> Any:
    """Return the module pass that folds permute_dims, reshape and dequantize of constants."""

    @tvm.transform.module_pass(opt_level=0, name="FoldWeights")
    def run(mod: Any, _context: Any) -> Any:
        folder = _Folder(mod)
        for var, function in mod.functions_items():
            if isinstance(function, relax.Function):
                folder.builder_.update_func(var, folder.visit_expr(function))
        return relax.transform.DeadCodeElimination()(folder.builder_.get())

    return run


@mutator
class _Folder(PyExprMutator):
    def visit_call_(self, call: Any) -> Any:
        call = self.visit_expr_post_order(call)
        name = tvm_api.op_name(call)
        if name not in ("permute_dims", "reshape", "dequantize"):
            return self._with_constants(call)
        data = self._constant(call.args[0])
        if data is None:
            return call
        if name == "dequantize":
            return relax.const(_dequantized(call, data))
        return relax.const(tvm_api.move_constant(call, data))

    def _with_constants(self, call: Any) -> Any:
        """Put folded weights themselves in place of their variables: passes look for constants."""
        values = [self._constant(arg) for arg in call.args]
        if all(value is None for value in values):
            return call
        args = [
            arg if value is None or tvm_api.is_constant(arg) else relax.const(value)
            for arg, value in zip(call.args, values, strict=True)
        ]
        return relax.Call(call.op, args, call.attrs)

    def _constant(self, expr: Any) -> npt.NDArray[Any] | None:
        """Return the value of a constant, or of a variable that was bound to one."""
        if isinstance(expr, relax.Var):
            expr = self.lookup_binding(expr)
        return expr.value.numpy() if expr is not None and tvm_api.is_constant(expr) else None


def _dequantized(call: Any, data: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Compute ``(q - zero_point) * scale`` in float32, as TVM's own kernel does."""
    scale, zero_point = (arg.value.numpy() for arg in call.args[1:3])
    shape = [1] * data.ndim
    if scale.ndim == 1:
        shape[int(call.attrs.axis)] = scale.size
        scale = scale.reshape(shape)
    if zero_point.ndim == 1:
        shape[int(call.attrs.axis)] = zero_point.size
        zero_point = zero_point.reshape(shape)
    centred = data.astype(np.int32) - zero_point.astype(np.int32)
    return (centred.astype(np.float32) * scale).astype(np.float32)
