"""Replace operators, and what can join them, by kernels of assay's own.

Weights are packed here, at compile time, into the order in which the kernel reads them. Kernels of
equal problems are generated once. What no generator solves is left to the passes after this one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from assay.compiler import tvm_api
from assay.compiler.kernels import depthwise, expand_depthwise, pointwise
from assay.compiler.kernels.expand_depthwise import ExpandDepthwise
from assay.compiler.kernels.problem import Conv2d, Dense
from assay.compiler.kernels.select import Problem, generator_for
from assay.compiler.passes.chains import Chain, Graph, chain_after
from assay.compiler.passes.convolutions import read_convolution
from assay.compiler.target import Isa

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Kernels are written for this many threads; fewer at run time share the same tasks.
_PLANNED_TASKS = 4


@dataclass(frozen=True)
class _Layer:
    """One operator that a generator solves, with the chain of steps that join it."""

    problem: Problem
    generator: Any
    source: Any
    weights: NDArray[np.float32]
    chain: Chain

    @property
    def operands(self) -> list[Any]:
        """The epilogue's tensors, in the shapes that the kernel declares."""
        return list(_flat(self.chain, self.problem))


def bind_kernels(isa: Isa, aggressive: bool) -> Any:
    """Return the module pass for float32 convolutions (NHWC) and dense layers.

    ``aggressive`` also takes kernels that change the last bits (Winograd) or span two layers.
    """

    @tvm.transform.module_pass(opt_level=0, name="BindKernels")
    def run(mod: Any, _context: Any) -> Any:
        return _Binder(mod, isa, aggressive).run()

    return run


@mutator
class _Binder(PyExprMutator):
    """Puts calls of kernels in place of the last operator of each chain; the rest is dead then."""

    def __init__(self, mod: Any, isa: Isa, aggressive: bool) -> None:
        super().__init__(mod)
        self._isa = isa
        self._aggressive = aggressive
        self._kernels: dict[Any, Any] = {}
        self._calls: dict[Any, Any] = {}
        self._graph = Graph(mod["main"])

    def run(self) -> Any:
        """Return the module with kernels bound wherever a generator solves the problem."""
        taken: set[Any] = set()
        for var, _ in self._graph.bindings:
            layer = None if var in taken else self._layer(var, taken)
            if layer is None:
                continue
            pair = self._with_depthwise(layer, taken) if self._aggressive else None
            variables = layer.chain.variables
            if pair is not None:
                variables += pair[1].chain.variables
            call = self._call(layer) if pair is None else self._fused_call(layer, *pair)
            self._calls[self._graph.value[variables[-1]]] = call
            taken.update(variables)
        main = self.builder_.get().get_global_var("main")
        self.builder_.update_func(main, self.visit_expr(self.builder_.get()[main]))
        return relax.transform.DeadCodeElimination(["main"])(self.builder_.get())

    def visit_call_(self, call: Any) -> Any:
        """Visit the arguments of the kernel's call instead of the operator's own."""
        return self.visit_expr_post_order(self._calls.get(call, call))

    def _layer(self, var: Any, taken: set[Any]) -> _Layer | None:
        read = _read_layer(self._graph.value[var], self._graph.calls(var))
        if read is None:
            return None
        problem, source, weights = read
        chain = chain_after(self._graph, var, taken)
        problem = replace(problem, epilogue=chain.epilogue)
        generator = generator_for(problem, self._isa, self._aggressive)
        return None if generator is None else _Layer(problem, generator, source, weights, chain)

    def _with_depthwise(
        self, layer: _Layer, taken: set[Any]
    ) -> tuple[ExpandDepthwise, _Layer] | None:
        """Return the depthwise layer that alone reads this one's result, if better run as one."""
        user = self._graph.only_user(layer.chain.variables[-1])
        if layer.generator is not pointwise or user is None or user in taken:
            return None
        below = self._layer(user, taken)
        if below is None or below.generator is not depthwise:
            return None
        assert isinstance(layer.problem, Conv2d)
        assert isinstance(below.problem, Conv2d)
        both = ExpandDepthwise(layer.problem, below.problem)
        fits = expand_depthwise.applicable(both) and expand_depthwise.worthwhile(both, self._isa)
        return (both, below) if fits else None

    def _call(self, layer: _Layer) -> Any:
        packed = layer.generator.pack(layer.problem, self._isa, layer.weights)
        arguments = [layer.source, relax.const(packed), *layer.operands]
        kernel = self._kernel(layer.problem, layer.generator)
        return relax.call_tir(kernel, arguments, layer.chain.variables[-1].ty)

    def _fused_call(self, layer: _Layer, both: ExpandDepthwise, below: _Layer) -> Any:
        arguments = [
            layer.source,
            relax.const(expand_depthwise.pack(both, self._isa, layer.weights)),
            *layer.operands,
            relax.const(depthwise.pack(both.depthwise, self._isa, below.weights)),
            *below.operands,
        ]
        kernel = self._kernel(both, expand_depthwise)
        return relax.call_tir(kernel, arguments, below.chain.variables[-1].ty)

    def _kernel(self, problem: Any, generator: Any) -> Any:
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


def _read_layer(call: Any, name: str) -> tuple[Problem, Any, NDArray[np.float32]] | None:
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
