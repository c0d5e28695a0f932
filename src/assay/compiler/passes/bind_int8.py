"""Run quantized layers in integers: replace their floating-point spelling by integer kernels.

Between integer kernels activations are uint8 whatever the model's type (``stored``, see
kernels/int8/stored.py); int8 tensors are converted where such a kernel meets the model's border or
an operator that is still spelled in floating point.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from assay.compiler.kernels.int8.stored import SIGN_FLIP
from assay.compiler.kernels.select_int8 import int8_generator_for
from assay.compiler.passes.chains import Graph
from assay.compiler.passes.quantized_layers import QuantizedLayer, quantized_layer
from assay.compiler.remarks.log import Log
from assay.compiler.remarks.rules.float_in_int8 import RULE as FLOAT
from assay.compiler.target import Isa

# Kernels are written for this many threads; fewer at run time share the same tasks.
_PLANNED_TASKS = 4


def bind_int8(isa: Isa, log: Log) -> Any:
    """Return the module pass; it logs each quantized layer that stays in floating point."""

    @tvm.transform.module_pass(opt_level=0, name="BindInt8")
    def run(mod: Any, _context: Any) -> Any:
        return _Binder(mod, isa, log).run()

    return run


@mutator
class _Binder(PyExprMutator):
    """Emits each layer's kernel where its last variable was defined."""

    def __init__(self, mod: Any, isa: Isa, log: Log) -> None:
        super().__init__(mod)
        self._isa = isa
        self._log = log
        self._kernels: dict[Any, Any] = {}
        self._layers: dict[Any, QuantizedLayer] = {}
        self._stored: dict[Any, Any] = {}

    def run(self) -> Any:
        """Return the module with integer kernels wherever a generator solves the problem."""
        main = self.builder_.get().get_global_var("main")
        function = self.builder_.get()[main]
        graph = Graph(function)
        taken: set[Any] = set()
        for var, _ in graph.bindings:
            layer = quantized_layer(graph, var)
            if layer is None or taken.intersection(layer.variables):
                continue
            if int8_generator_for(layer.problem) is None:
                self._log.append(FLOAT.remark(f"no integer kernel solves {layer.problem}"))
                continue
            self._layers[layer.variables[-1]] = layer
            taken.update(layer.variables)
        if self._layers:
            self.builder_.update_func(main, self.visit_expr(function))
        return relax.transform.DeadCodeElimination(["main"])(self.builder_.get())

    def visit_var_binding_(self, binding: Any) -> None:
        """Emit a kernel's call for a layer's last variable; visit any other binding as it is."""
        layer = self._layers.get(binding.var)
        if layer is None:
            super().visit_var_binding_(binding)
            return
        stored = self.builder_.emit(self._call(layer), name_hint=binding.var.name)
        self._stored[binding.var] = stored
        signed = str(binding.var.ty.dtype) == "int8"
        own = _shifted(stored, "int8") if signed else stored
        inside = isinstance(binding.var, relax.DataflowVar)
        if inside and not signed:
            self.set_var_remap(binding.var, stored)
            return
        emit = self.builder_.emit if inside else self.builder_.emit_output
        self.set_var_remap(binding.var, emit(own))

    def _call(self, layer: QuantizedLayer) -> Any:
        generator = int8_generator_for(layer.problem)
        assert generator is not None
        packed = generator.pack(
            layer.problem, self._isa, layer.weights, layer.bias, layer.multipliers
        )
        constants = [relax.const(np.ascontiguousarray(array)) for array in packed]
        arguments = [self._as_stored(layer.source), *constants]
        if layer.other is not None:
            arguments.append(self._as_stored(layer.other))
        shape = layer.problem.geometry.output_shape
        return relax.call_tir(
            self._kernel(layer.problem), arguments, relax.TensorType(shape, "uint8")
        )

    def _kernel(self, problem: Any) -> Any:
        if problem not in self._kernels:
            generator = int8_generator_for(problem)
            assert generator is not None
            name = f"int8_{generator.__name__.rpartition('.')[2]}_{len(self._kernels)}"
            function = generator.generate(problem, self._isa, name, _PLANNED_TASKS)
            self._kernels[problem] = self.builder_.add_func(function, name)
        return self._kernels[problem]

    def _as_stored(self, var: Any) -> Any:
        """Return an 8-bit tensor as kernels store it, converted once if it was made elsewhere."""
        if var not in self._stored:
            own = self.visit_expr(var)
            if str(var.ty.dtype) == "int8":
                own = self.builder_.emit(_shifted(own, "uint8"))
            self._stored[var] = own
        return self._stored[var]


def _shifted(expr: Any, dtype: str) -> Any:
    """Shift between int8 and uint8: the same bits but for the highest."""
    offset = relax.const(SIGN_FLIP if dtype == "uint8" else -SIGN_FLIP, "int16")
    return relax.op.astype(relax.op.add(relax.op.astype(expr, "int16"), offset), dtype)
