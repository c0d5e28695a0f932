"""Replace operators, and what can join them, by kernels of assay's own.

Weights are packed here, at compile time, into the order in which the kernel reads them. Kernels of
equal problems are generated once. What no generator solves is left to the passes after this one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from assay.compiler import tvm_api
from assay.compiler.kernels.problem import Dense
from assay.compiler.kernels.select import Problem, generator_for
from assay.compiler.passes.chains import Chain, Graph, chain_after
from assay.compiler.passes.convolutions import read_convolution
from assay.compiler.target import Isa

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Kernels are written for this many threads; fewer at run time share the same tasks.
_PLANNED_TASKS = 4


def bind_kernels(isa: Isa) -> Any:
    """Return the module pass for float32 convolutions (NHWC) and dense layers."""

    @tvm.transform.module_pass(opt_level=0, name="BindKernels")
    def run(mod: Any, _context: Any) -> Any:
        return _Binder(mod, isa).run()

    return run


@mutator
class _Binder(PyExprMutator):
    """Puts calls of kernels in place of the last operator of each chain; the rest is dead then."""

    def __init__(self, mod: Any, isa: Isa) -> None:
        super().__init__(mod)
        self._isa = isa
        self._kernels: dict[Problem, Any] = {}
        self._calls: dict[Any, Any] = {}
        self._graph = Graph(mod["main"])

    def run(self) -> Any:
        """Return the module with kernels bound wherever a generator solves the problem."""
        taken: set[Any] = set()
        for var, _ in self._graph.bindings:
            found = None if var in taken else self._bind(var, taken)
            if found is not None:
                chain, call = found
                self._calls[self._graph.value[chain.variables[-1]]] = call
                taken.update(chain.variables)
        main = self.builder_.get().get_global_var("main")
        self.builder_.update_func(main, self.visit_expr(self.builder_.get()[main]))
        return relax.transform.DeadCodeElimination(["main"])(self.builder_.get())

    def visit_call_(self, call: Any) -> Any:
        """Visit the arguments of the kernel's call instead of the operator's own."""
        return self.visit_expr_post_order(self._calls.get(call, call))

    def _bind(self, var: Any, taken: set[Any]) -> tuple[Chain, Any] | None:
        call = self._graph.value[var]
        layer = _layer(call, self._graph.calls(var))
        if layer is None:
            return None
        problem, source, weights = layer
        chain = chain_after(self._graph, var, taken)
        problem = replace(problem, epilogue=chain.epilogue)
        generator = generator_for(problem)
        if generator is None:
            return None
        packed = generator.pack(problem, self._isa, weights)
        arguments = [source, relax.const(packed), *_flat(chain, problem)]
        kernel = self._kernel(problem, generator)
        return chain, relax.call_tir(kernel, arguments, chain.variables[-1].ty)

    def _kernel(self, problem: Problem, generator: Any) -> Any:
        if problem not in self._kernels:
            kind = generator.__name__.rpartition(".")[2]
            name = f"{kind}_{len(self._kernels)}"
            function = generator.generate(problem, self._isa, name, _PLANNED_TASKS)
            self._kernels[problem] = self.builder_.add_func(function, name)
        return self._kernels[problem]


def _flat(chain: Chain, problem: Problem) -> Iterator[Any]:
    """Give the operands the shapes that the kernel declares; they hold the same elements."""
    shapes = problem.epilogue.operand_shapes(problem.output_shape)
    for operand, shape in zip(chain.operands, shapes, strict=True):
        value = tvm_api.constant_value(operand)
        if value is not None:
            yield relax.const(np.ascontiguousarray(value.reshape(shape)))
        else:
            yield operand


def _layer(call: Any, name: str) -> tuple[Problem, Any, NDArray[np.float32]] | None:
    """Return problem, input and weights (HWIO, or [in, out]) of an operator that has them."""
    if name not in ("nn.conv2d", "matmul"):
        return None
    weights = tvm_api.constant_value(call.args[1])
    if weights is None or weights.dtype != np.float32:
        return None
    if name == "matmul":
        shape = tvm_api.static_shape(call.args[0])
        if weights.ndim != 2 or str(call.args[0].ty.dtype) != "float32":
            return None
        return Dense(shape[:-1], *weights.shape), call.args[0], weights
    problem = read_convolution(call)
    if problem is None:
        return None
    if str(call.attrs.kernel_layout) == "HWOI":
        weights = weights.reshape(problem.weights_shape)
    return problem, call.args[0], weights
