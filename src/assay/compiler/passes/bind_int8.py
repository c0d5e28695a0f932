"""Run quantized operators in integers: replace their floating-point spelling by integer kernels.

Between integer kernels activations are uint8 whatever the model's type (``stored``, see
kernels/int8/stored.py); int8 tensors are converted where such a kernel meets the model's border or
an operator that is still spelled in floating point.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from assay.compiler import tvm_api
from assay.compiler.kernel_calls import TRANSPOSE
from assay.compiler.kernels.builder import with_parameter_shapes
from assay.compiler.kernels.int8.convert import Shift
from assay.compiler.kernels.int8.nchw import channels_last
from assay.compiler.kernels.int8.problem import QuantizedConv2d
from assay.compiler.kernels.move import Move, transpose
from assay.compiler.kernels.select import generator_for
from assay.compiler.kernels.work import PLANNED_TASKS
from assay.compiler.passes.bound import BoundKernel, BoundKernels
from assay.compiler.passes.chains import Graph
from assay.compiler.passes.layouts import TO_NCHW, TO_NHWC
from assay.compiler.passes.quantized import MOVES, QuantizedOperator, claimable
from assay.compiler.passes.quantized.affine import SHIFTS
from assay.compiler.remarks.log import Log
from assay.compiler.remarks.rules.float_in_int8 import RULE as FLOAT
from assay.compiler.target import Isa


def bind_int8(isa: Isa, log: Log, bound: BoundKernels) -> Any:
    """Return the module pass; it logs each quantized operator that no integer kernel solves.

    What it binds it adds to ``bound``.
    """

    @tvm.transform.module_pass(opt_level=0, name="BindInt8")
    def run(mod: Any, _context: Any) -> Any:
        return _Binder(mod, isa, log, bound).run()

    return run


@mutator
class _Binder(PyExprMutator):
    """Emits each operator's kernel where its last variable was defined; the rest is dead then."""

    def __init__(self, mod: Any, isa: Isa, log: Log, bound: BoundKernels) -> None:
        super().__init__(mod)
        self._isa = isa
        self._log = log
        self._bound = bound
        self._kernels: dict[Any, Any] = {}
        self._operators: dict[Any, QuantizedOperator] = {}
        self._stored: dict[Any, Any] = {}

    def run(self) -> Any:
        """Return the module with integer kernels wherever a generator solves the problem."""
        main = self.builder_.get().get_global_var("main")
        function = self.builder_.get()[main]
        self._claim(Graph(function))
        if self._operators:
            self.builder_.update_func(main, self.visit_expr(function))
        return relax.transform.DeadCodeElimination(["main"])(self.builder_.get())

    def _claim(self, graph: Graph) -> None:
        for operator in claimable(graph):
            operator = _with_best_kernel(operator, self._isa)
            if generator_for(operator.problem, self._isa) is None:
                self._log.append(FLOAT.remark(f"no integer kernel solves {operator.problem}"))
            else:
                self._operators[operator.variables[-1]] = operator
                graph.taken.update(operator.variables)

    def visit_var_binding_(self, binding: Any) -> None:
        """Emit a kernel's call for an operator's last variable; visit any other one as it is."""
        operator = self._operators.get(binding.var)
        if operator is not None:
            made = self._call(operator, binding.var.name)
        elif self._moves_stored(binding.value):
            made = self._moved(binding.value)
        else:
            super().visit_var_binding_(binding)
            return
        dtype = str(binding.var.ty.dtype)
        turned = operator is not None and operator.result_nchw
        own = self.builder_.emit(made, name_hint="nchw" if turned else binding.var.name)
        if dtype in SHIFTS:
            self._stored[binding.var] = own
        if dtype == "int8":
            own = self.builder_.emit(self._shifted(own, "int8"))
        inside = isinstance(binding.var, relax.DataflowVar)
        self.set_var_remap(binding.var, own if inside else self.builder_.emit_output(own))

    def _call(self, operator: QuantizedOperator, name: str) -> Any:
        """Return an operator's result; the kernel's own has that ``name``, if it is another one."""
        generator: Any = generator_for(operator.problem, self._isa)
        first, *others = [self._as_stored(source) for source in operator.sources]
        if operator.source_nchw:
            first = self.builder_.emit(self._turned(operator, first, TO_NHWC))
        if operator.result_nchw:
            others = [
                self.builder_.emit(self._turned(operator, other, TO_NHWC)) for other in others
            ]
        packed: Any = ()
        if hasattr(generator, "pack"):
            packed = generator.pack(operator.problem, self._isa, *operator.values)
        arrays = packed if isinstance(packed, tuple) else (packed,)
        constants = [relax.const(np.ascontiguousarray(array)) for array in arrays]
        result = operator.variables[-1].ty
        dtype = "uint8" if str(result.dtype) in SHIFTS else str(result.dtype)
        shape = tvm_api.static_shape(operator.variables[-1])
        if operator.result_nchw:
            shape = tuple(shape[axis] for axis in TO_NHWC)
        tensors = [first, *constants, *others]
        kernel = self._kernel(operator.problem, [*map(tvm_api.static_shape, tensors), shape])
        made = relax.call_tir(kernel, tensors, relax.TensorType(shape, dtype))
        if not operator.result_nchw:
            return made
        return self._turned(operator, self.builder_.emit(made, name_hint=name), TO_NCHW)

    def _turned(self, operator: QuantizedOperator, image: Any, order: tuple[int, ...]) -> Any:
        """Return an image, as it is stored, in the other layout.

        Convolutions have kernels for that. A ``permute_dims`` and one back that follows leave
        nothing, and what is between two convolutions is to be in the layout that was asked for.
        """
        if not isinstance(operator.problem, QuantizedConv2d):
            return relax.op.permute_dims(image, order)
        problem = transpose("uint8", tvm_api.static_shape(image), order)
        if problem.first_byte is not None:
            return relax.op.reshape(image, problem.output_shape)
        kernel = self._kernel(problem, [*problem.inputs, problem.output_shape])
        return relax.call_tir(kernel, [image], relax.TensorType(problem.output_shape, "uint8"))

    def _kernel(self, problem: Any, shapes: list[tuple[int, ...]]) -> Any:
        key = (problem, *shapes)
        if key not in self._kernels:
            generator = generator_for(problem, self._isa)
            assert generator is not None
            kind = generator.__name__.rpartition(".")[2]
            kind = TRANSPOSE if isinstance(problem, Move) else kind
            name = f"int8_{kind}_{len(self._kernels)}"
            function = generator.generate(problem, self._isa, name, PLANNED_TASKS)
            shaped = with_parameter_shapes(function, shapes)
            self._kernels[key] = self.builder_.add_func(shaped, name)
            self._bound[name] = BoundKernel(problem, generator)
        return self._kernels[key]

    def _moves_stored(self, call: Any) -> bool:
        """Tell whether an operator moves values of a tensor that is stored already."""
        name = tvm_api.op_name(call) if hasattr(call, "op") else ""
        return name in MOVES and call.args[0] in self._stored

    def _moved(self, call: Any) -> Any:
        arguments = [self._stored[call.args[0]], *map(self.visit_expr, call.args[1:])]
        return relax.Call(call.op, arguments, call.attrs, call.ty_args)

    def _as_stored(self, expr: Any) -> Any:
        """Return a tensor as kernels take it; an 8-bit one made elsewhere is converted, once."""
        dtype = str(expr.ty.dtype)
        value = tvm_api.constant_value(expr)
        if dtype not in SHIFTS:
            return self.visit_expr(expr)
        if value is not None:
            return relax.const((value.astype(np.int16) + SHIFTS[dtype]).astype(np.uint8))
        if expr not in self._stored:
            own = self.visit_expr(expr)
            if dtype == "int8":
                own = self.builder_.emit(self._shifted(own, "uint8"))
            self._stored[expr] = own
        return self._stored[expr]

    def _shifted(self, expr: Any, dtype: Any) -> Any:
        """Shift between int8 and uint8: the same bits but for the highest."""
        shape = tvm_api.static_shape(expr)
        kernel = self._kernel(Shift(shape, dtype), [shape, shape])
        return relax.call_tir(kernel, [expr], relax.TensorType(shape, dtype))


def _with_best_kernel(operator: QuantizedOperator, isa: Isa) -> QuantizedOperator:
    """Return a convolution in NCHW as one in NHWC, where it is worth to transpose for that."""
    problem = operator.problem
    if not isinstance(problem, QuantizedConv2d) or not channels_last.worthwhile(problem, isa):
        return operator
    own = channels_last.in_nhwc(problem)
    return replace(operator, problem=own, source_nchw=True, result_nchw=True)
