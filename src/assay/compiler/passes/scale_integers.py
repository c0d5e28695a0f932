"""Let quantized operators besides layers, where they compute in FP32, start from the integers.

The importer dequantizes operands, computes on real numbers and quantizes the result: three factors,
each of which rounds. Integer kernels multiply by one factor for each operand, a quotient of scales
(docs/kernels-int8.md), and interpolate in integers. Here the same arithmetic is spelled in Relax,
so that a network computes the same integers at every level.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from assay.compiler.frontend.naming import again
from assay.compiler.kernels.int8.elementwise import (
    Operand,
    QuantizedAdd,
    QuantizedMultiply,
    QuantizedPrelu,
    Requantize,
)
from assay.compiler.kernels.int8.mean import QuantizedMean
from assay.compiler.kernels.int8.mixing import Mixing, QuantizedResize, mixings
from assay.compiler.kernels.int8.problem import Linear
from assay.compiler.kernels.int8.stored import StoredRange
from assay.compiler.passes.chains import Graph
from assay.compiler.passes.quantized import QuantizedOperator, claimable
from assay.compiler.passes.quantized.affine import SHIFTS


def scale_integers() -> Any:
    """Return the module pass; operators that are quantized in another way stay as they are."""

    @tvm.transform.module_pass(opt_level=0, name="ScaleIntegers")
    def run(mod: Any, _context: Any) -> Any:
        return _Rewriter(mod).run()

    return run


@mutator
class _Rewriter(PyExprMutator):
    """Emits each operator's spelling where its last variable was defined; the rest is dead then."""

    def __init__(self, mod: Any) -> None:
        super().__init__(mod)
        self._operators: dict[Any, QuantizedOperator] = {}

    def run(self) -> Any:
        """Return the module with all such operators spelled anew."""
        main = self.builder_.get().get_global_var("main")
        function = self.builder_.get()[main]
        self._graph = graph = Graph(function)
        for operator in claimable(graph):
            if not isinstance(operator.problem, Linear):
                graph.taken.update(operator.variables)
                self._operators[operator.variables[-1]] = operator
        self.builder_.update_func(main, self.visit_expr(function))
        return relax.transform.DeadCodeElimination(["main"])(self.builder_.get())

    def visit_var_binding_(self, binding: Any) -> None:
        """Emit an operator for its last variable; visit any other one as it is."""
        var = binding.var
        spelled = self._spelled(self._operators[var]) if var in self._operators else None
        if spelled is None:
            super().visit_var_binding_(binding)
            return
        own = self.builder_.emit(spelled, name_hint=var.name)
        inside = isinstance(var, relax.DataflowVar)
        self.set_var_remap(var, own if inside else self.builder_.emit_output(own))

    def _spelled(self, operator: QuantizedOperator) -> Any:
        """Return the call that defines an operator's result, None to leave it as it is."""
        problem, variables = operator.problem, operator.variables
        call = self._graph.value[variables[0]]
        sources = tuple(map(self.visit_expr, operator.sources))
        stored = variables[-2 if len(variables) > 2 else -1]
        operand = getattr(call.args[0], "name", stored.name)
        names = (operand, variables[0].name, stored.name)
        write = _Writer(self.builder_, names)
        if isinstance(problem, QuantizedResize):
            return write.resized(problem, sources[0], str(call.attrs.layout))
        steps = write.steps(problem, sources)
        dtype = str(operator.variables[-1].ty.dtype)
        return None if steps is None else write.stored(steps, problem.output, dtype)


@dataclass(frozen=True)
class _Writer:
    """Writes an operator's calls, all but the last bound to variables.

    These are named after one of the three that stood for an operand, the operator's own work and
    its conversion to integers, which tells what of the model a kernel computes: one variable, and
    no more, is named after the second.
    """

    builder: Any
    names: tuple[str, str, str]

    def _operand(self, call: Any) -> Any:
        return self.builder.emit(call, name_hint=again(self.names[0]))

    def _own(self, call: Any) -> Any:
        return self.builder.emit(call, name_hint=again(self.names[1]))

    def _result(self, call: Any) -> Any:
        return self.builder.emit(call, name_hint=again(self.names[2]))

    def steps(self, problem: Any, sources: tuple[Any, ...]) -> Any:
        """Return the result in steps of its scale, None if a problem needs no other spelling."""
        if isinstance(problem, QuantizedAdd):
            left = self._operand(_times(sources[0], problem.left, problem.left_factor))
            right = self._operand(_times(sources[1], problem.right, problem.right_factor))
            total = relax.op.add(left, right)
            if not problem.squared:
                return self._own(total)
            difference = self._operand(total)
            return self._own(relax.op.multiply(difference, difference))
        if isinstance(problem, QuantizedMultiply):
            left = self._operand(_times(sources[0], problem.left))
            right = self._operand(_times(sources[1], problem.right))
            product = self._own(relax.op.multiply(left, right))
            return self._result(relax.op.multiply(product, relax.const(problem.factor, "float32")))
        if isinstance(problem, QuantizedPrelu):
            left = self._operand(_times(sources[0], problem.left))
            slope = self._operand(_times(sources[1], problem.right))
            zero = relax.const(0.0, "float32")
            above = self._operand(relax.op.maximum(left, zero))
            above = self._operand(relax.op.multiply(above, relax.const(problem.factor, "float32")))
            below = self._operand(relax.op.minimum(left, zero))
            below = self._operand(relax.op.multiply(below, slope))
            factor = relax.const(problem.slope_factor, "float32")
            return self._own(relax.op.add(above, self._operand(relax.op.multiply(below, factor))))
        if isinstance(problem, Requantize):
            return self._own(_times(sources[0], problem.input, problem.factor))
        if isinstance(problem, QuantizedMean):
            integers = self._operand(relax.op.astype(sources[0], "int32"))
            total = self._own(relax.op.sum(integers, list(problem.axes), problem.keep_axes))
            count = prod(problem.shape[axis] for axis in problem.axes)
            zero_point = problem.input_zero_point - SHIFTS[str(sources[0].ty.dtype)]
            return self._result(_dequantized(total, count * zero_point, problem.multiplier))
        return None

    def stored(self, steps: Any, target: StoredRange, dtype: str) -> Any:
        """Round to the model's integers within the limits of the target."""
        shift = SHIFTS[dtype]
        zero_point = relax.const(target.zero_point - shift, dtype)
        stored = relax.op.quantize(steps, relax.const(1.0, "float32"), zero_point, out_dtype=dtype)
        if (target.low, target.high) == (0, 255):
            return stored
        return relax.op.clip(self._result(stored), target.low - shift, target.high - shift)

    def resized(self, problem: QuantizedResize, image: Any, layout: str) -> Any:
        """Interpolate integers as the kernel does."""
        rows, columns = mixings(problem)
        bits = rows.bits + columns.bits
        lines = self._operand(self._mixed(image, rows, layout.index("H")))
        total = self._own(self._mixed(lines, columns, layout.index("W")))
        if bits:
            # Halves away from zero: those below zero are one less before the shift, which floors.
            below = self._result(relax.op.right_shift(total, relax.const(31, "int32")))
            half = self._result(relax.op.add(below, relax.const(1 << (bits - 1), "int32")))
            raised = self._result(relax.op.add(total, half))
            total = self._result(relax.op.right_shift(raised, relax.const(bits, "int32")))
        return relax.op.astype(total, str(image.ty.dtype))

    def _mixed(self, tensor: Any, mixing: Mixing, axis: int) -> Any:
        """Return int32 mixtures of neighbours along an axis, in units of its weights."""
        lower, upper, weights = mixing.table.T
        shape = [-1 if index == axis else 1 for index in range(len(tensor.ty.shape))]
        parts = []
        for source, weight in ((lower, (1 << mixing.bits) - weights), (upper, weights)):
            taken = self._operand(relax.op.take(tensor, relax.const(source), axis, mode="clip"))
            integers = self._operand(relax.op.astype(taken, "int32"))
            weighed = relax.op.multiply(integers, relax.const(weight.reshape(shape)))
            parts.append(self._operand(weighed))
        return relax.op.add(*parts)


def _times(tensor: Any, operand: Operand, factor: float = 1.0) -> Any:
    """Return ``factor * (tensor - zero point)``, rounded to float32."""
    return _dequantized(tensor, operand.zero_point - SHIFTS[str(tensor.ty.dtype)], factor)


def _dequantized(integers: Any, zero_point: int, factor: float) -> Any:
    parameters = relax.const(factor, "float32"), relax.const(zero_point, "int32")
    return relax.op.dequantize(integers, *parameters)
