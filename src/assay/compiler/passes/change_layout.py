"""From NHWC to NCHW or back for the whole network.

Each 4-D value of the graph gets a twin in the other layout as soon as a convolution makes or needs
one; twins are passed on by every operator that can work on them, and a value goes back only where
one needs it so. What remains are transposes at the border of the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from assay.compiler import tvm_api
from assay.compiler.passes.chains import arguments
from assay.compiler.passes.layout_rules import RULES, Rule, in_layout, requantized
from assay.compiler.passes.layouts import NCHW_TO_NHWC, Direction, axes, rank
from assay.compiler.passes.moved_twins import MOVES, move_of_twin


def to_nhwc() -> Any:
    """Return the module pass; it does nothing to a graph without convolutions in NCHW.

    ONNX files are in NCHW, and most of assay's kernels are for NHWC.
    """

    @tvm.transform.module_pass(opt_level=0, name="ConvertToNHWC")
    def run(mod: Any, _context: Any) -> Any:
        return change_layout(mod, NCHW_TO_NHWC, RULES)

    return run


def change_layout(mod: Any, direction: Direction, rules: Mapping[str, Rule]) -> Any:
    """Return the module with ``main`` in the target's layout, as far as the rules go.

    A graph without convolutions that ask for it stays as it is.
    """
    if not any(_asks(call, direction) for call in tvm_api.op_calls(mod["main"])):
        return mod
    mod = relax.transform.CanonicalizeBindings()(mod)
    return relax.transform.DeadCodeElimination(["main"])(Converter(mod, direction, rules).run())


def _asks(call: Any, direction: Direction) -> bool:
    """Tell whether a call is a convolution to convert; transposed ones are in NCHW always."""
    if tvm_api.op_name(call) == "nn.conv2d_transpose":
        return direction.target == "NCHW"
    return tvm_api.op_name(call) == "nn.conv2d" and in_layout(call, direction.source)


@mutator
class Converter(PyExprMutator):
    """Emits each call in the target's layout where a rule says how.

    Its form in the source's layout is there as well, for whoever needs that.
    """

    def __init__(self, mod: Any, direction: Direction, rules: Mapping[str, Rule]) -> None:
        super().__init__(mod)
        self.direction = direction
        self._rules = rules
        self._twins: dict[Any, Any] = {}
        self._tuples: dict[Any, Any] = {}
        self._wanted: set[Any] = set()
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
        self._find_wanted()
        self.builder_.update_func(main, self.visit_expr(function))
        return self.builder_.get()

    def _find_wanted(self) -> None:
        """Go back from convolutions, through images and through moves of tensors of any rank."""
        wanted: set[Any] = set()
        for var, value in reversed(self.values.items()):
            if isinstance(value, relax.TupleGetItem):
                wanted.update([value.tuple_value] if var in wanted else ())
                continue
            image = isinstance(var.ty, relax.TupleType) or rank(var) == 4
            passes = var in wanted and (image or tvm_api.op_name(value) in MOVES)
            if passes or (isinstance(value, tvm.ir.Call) and _asks(value, self.direction)):
                wanted.update(arguments(value))
        self._wanted = {self.values[var] for var in wanted if var in self.values}

    def visit_var_binding_(self, binding: Any) -> None:
        """Emit the twin of a binding, if there is to be one, and its transpose."""
        value, var = binding.value, binding.var
        if isinstance(value, relax.TupleGetItem) and value.tuple_value in self._tuples:
            made = relax.TupleGetItem(self._tuples[value.tuple_value], value.index)
            self._set_twin(var, made)
            return
        rule = self._rules.get(tvm_api.op_name(value)) if isinstance(value, tvm.ir.Call) else None
        made = rule(self, value) if rule is not None else None
        own = move_of_twin(self, value) if made is None else None
        if own is not None:
            self.set_var_remap(var, self._emit(var, own, var.name))
        elif made is None:
            super().visit_var_binding_(binding)
        elif isinstance(var.ty, relax.TupleType):
            self._tuples[var] = self.builder_.emit(made, name_hint=var.name)
            super().visit_var_binding_(binding)
        elif rank(var) == 4:
            self._set_twin(var, made)
        else:
            self.set_var_remap(var, self._emit(var, made, var.name))

    def _set_twin(self, var: Any, made: Any) -> None:
        """Emit a twin, which keeps the name by which kernels are told, and its other form."""
        named = (
            made if isinstance(made, relax.Var) else self.builder_.emit(made, name_hint=var.name)
        )
        self._twins[var] = named
        own = self._other_form(var)
        self.set_var_remap(var, self._emit(var, own, self.direction.source.lower()))

    def _other_form(self, var: Any) -> Any:
        value = self.values[var]
        name = tvm_api.op_name(value)
        if name == "dequantize":  # what is moved in front of it has fewer bytes
            return self.visit_expr(value)
        move = move_of_twin(self, value)
        return moved(self._twins[var], self.direction.back) if move is None else move

    def _emit(self, var: Any, value: Any, name: str) -> Any:
        inside = isinstance(var, relax.DataflowVar)
        if inside and isinstance(value, relax.Var):
            return value
        emit = self.builder_.emit if inside else self.builder_.emit_output
        return emit(value, name_hint=name)

    def has_twin(self, expr: Any) -> bool:
        """Tell whether a value exists in the target's layout."""
        return expr in self._twins if isinstance(expr, relax.Var) else False

    def reaches_convolution(self, call: Any) -> bool:
        """Tell whether a convolution to convert reads what becomes of a call's result."""
        return call in self._wanted

    def asks(self, expr: Any) -> bool:
        """Tell whether pooling or resizing of a value should have it in the target's layout."""
        return self.direction.target == "NHWC" or self.has_twin(expr)

    def twin(self, expr: Any) -> Any:
        """Return a 4-D value in the target's layout."""
        if tvm_api.is_constant(expr):
            moved_array = expr.value.numpy().transpose(self.direction.order)
            return relax.const(np.ascontiguousarray(moved_array))
        if expr not in self._twins:
            self._twins[expr] = self.builder_.emit(self._pulled(expr), name_hint=expr.name)
        return self._twins[expr]

    def _pulled(self, expr: Any) -> Any:
        """Return what makes a twin: before quantizing rather than between two operators."""
        value: Any = self.values.get(expr)
        name = tvm_api.op_name(value)
        if name in ("quantize", "dequantize") and name in self._rules:
            return requantized(self, value, self.twin(value.args[0]))
        if name == "permute_dims" and axes(value) == self.direction.back:
            return self.visit_expr(value.args[0])
        move = move_of_twin(self, value, self.direction.order)
        return moved(self.visit_expr(expr), self.direction.order) if move is None else move

    def spread(self, expr: Any) -> Any:
        """Return an operand of lower rank, or of fewer elements, so that it spreads over a twin."""
        own = tvm_api.static_shape(expr)
        wide = (1,) * (4 - len(own)) + own
        order = self.direction.order
        if tvm_api.is_constant(expr):
            array = expr.value.numpy()
            if array.size == 1:
                return relax.const(array.reshape(()))
            array = array.reshape(wide).transpose(order)
            whole = array.shape[:3] == (1, 1, 1)
            return relax.const(np.ascontiguousarray(array.reshape(-1) if whole else array))
        inner = self._bias(expr)
        if inner is not None:
            return inner
        if len(own) == 4:
            return self.twin(expr)
        if len(own) == 0:
            return self.visit_expr(expr)
        if keeps_order(wide, order):
            return relax.op.reshape(self.visit_expr(expr), [wide[axis] for axis in order])
        full = self.builder_.emit(relax.op.reshape(self.visit_expr(expr), wide))
        return self.builder_.emit(relax.op.permute_dims(full, order))

    def reshaped(self, var: Any, shape: tuple[int, ...]) -> Any:
        """Return a variable in a shape of as many elements: itself if that is its own."""
        if tvm_api.static_shape(var) == shape:
            return var
        return self.builder_.emit(relax.op.reshape(var, shape))

    def _bias(self, expr: Any) -> Any:
        """Return the [C] that a [1, C, 1, 1] comes from, if channels are last in the target."""
        value: Any = self.values.get(expr)
        if tvm_api.op_name(value) != "reshape" or self.direction.target != "NHWC":
            return None
        inner = tvm_api.static_shape(value.args[0])
        fits = len(inner) == 1 and tvm_api.static_shape(expr) == (1, inner[0], 1, 1)
        return self.visit_expr(value.args[0]) if fits else None


def moved(expr: Any, order: tuple[int, ...]) -> Any:
    """Return a transpose, or a reshape if only axes of size 1 change their place."""
    shape = tvm_api.static_shape(expr)
    if keeps_order(shape, order):
        return relax.op.reshape(expr, [shape[axis] for axis in order])
    return relax.op.permute_dims(expr, order)


def keeps_order(shape: tuple[int, ...], order: tuple[int, ...]) -> bool:
    """Tell whether a transpose leaves each element in its place."""
    kept = [axis for axis in order if shape[axis] != 1]
    return kept == sorted(kept)
