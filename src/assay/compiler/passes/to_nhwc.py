"""NCHW to NHWC for the whole network: ONNX files are NCHW, and most kernels of assay's are NHWC.

Each 4-D value of the graph gets a twin in NHWC as soon as an operator with a layout makes or needs
one; twins are passed on by every operator that can work on them, and a value goes back to NCHW only
where one needs it so. What remains are transposes at the border of the network.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from assay.compiler import tvm_api
from assay.compiler.passes.nhwc_rules import RULES, TO_NCHW, TO_NHWC, axes, is_nchw, requantized


def to_nhwc() -> Any:
    """Return the module pass; it does nothing to a graph without convolutions in NCHW."""

    @tvm.transform.module_pass(opt_level=0, name="ConvertToNHWC")
    def run(mod: Any, _context: Any) -> Any:
        calls = tvm_api.op_calls(mod["main"])
        if not any(tvm_api.op_name(call) == "nn.conv2d" and is_nchw(call) for call in calls):
            return mod
        mod = relax.transform.CanonicalizeBindings()(mod)
        return relax.transform.DeadCodeElimination(["main"])(Converter(mod).run())

    return run


@mutator
class Converter(PyExprMutator):
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
        rule = RULES.get(tvm_api.op_name(value)) if isinstance(value, tvm.ir.Call) else None
        made = rule(self, value) if rule is not None else None
        if made is None:
            super().visit_var_binding_(binding)
        elif isinstance(var.ty, relax.TupleType):
            self._tuples[var] = self.builder_.emit(made, name_hint=var.name)
            super().visit_var_binding_(binding)
        elif len(var.ty.shape) == 4:
            self._set_twin(var, made)
        else:
            self.set_var_remap(var, self._emit(var, made, var.name))

    def _set_twin(self, var: Any, made: Any) -> None:
        """Emit a twin, which keeps the name by which kernels are told, and its NCHW form."""
        self._twins[var] = self.builder_.emit(made, name_hint=var.name)
        back = relax.op.permute_dims(self._twins[var], TO_NCHW)
        self.set_var_remap(var, self._emit(var, back, "nchw"))

    def _emit(self, var: Any, value: Any, name: str) -> Any:
        inside = isinstance(var, relax.DataflowVar)
        emit = self.builder_.emit if inside else self.builder_.emit_output
        return emit(value, name_hint=name)

    def has_twin(self, expr: Any) -> bool:
        """Tell whether a value exists in NHWC."""
        return expr in self._twins if isinstance(expr, relax.Var) else False

    def twin(self, expr: Any) -> Any:
        """Return a 4-D value in NHWC."""
        if tvm_api.is_constant(expr):
            return relax.const(np.ascontiguousarray(expr.value.numpy().transpose(TO_NHWC)))
        if expr not in self._twins:
            self._twins[expr] = self.builder_.emit(self._pulled(expr), name_hint=expr.name)
        return self._twins[expr]

    def _pulled(self, expr: Any) -> Any:
        """Return what makes an NHWC form: before quantizing rather than between two operators."""
        value: Any = self.values.get(expr)
        name = tvm_api.op_name(value) if isinstance(value, tvm.ir.Call) else ""
        if name in ("quantize", "dequantize"):
            return requantized(value, self.twin(value.args[0]))
        if name == "permute_dims" and axes(value) == TO_NCHW:
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
