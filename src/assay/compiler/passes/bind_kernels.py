"""Replace operators, and what can join them, by kernels of assay's own.

Weights are packed here, at compile time, into the order in which the kernel reads them. Kernels of
equal problems are generated once. What no generator solves is left to the passes after this one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from assay.compiler import tvm_api
from assay.compiler.kernel_calls import FROM_NHWC, TRANSPOSE
from assay.compiler.kernels import depthwise, expand_depthwise, pointwise
from assay.compiler.kernels.builder import with_parameter_shapes
from assay.compiler.kernels.elementwise import Elementwise
from assay.compiler.kernels.expand_depthwise import ExpandDepthwise
from assay.compiler.kernels.move import Move
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.select import generator_for
from assay.compiler.kernels.work import PLANNED_TASKS
from assay.compiler.passes.bound import BoundKernel, BoundKernels
from assay.compiler.passes.chains import Chain, Graph, chain_after
from assay.compiler.passes.readers import READERS, Operator, Reader
from assay.compiler.target import Isa


@dataclass(frozen=True)
class _Layer:
    """An operator with the chain that joins it, and the generator that solves the whole.

    ``variables`` are all that the kernel replaces, ``operands`` the epilogue's tensors.
    """

    operator: Operator
    problem: Any
    generator: Any
    variables: tuple[Any, ...]
    operands: tuple[Any, ...] = ()

    @property
    def result(self) -> Any:
        """The variable that the kernel defines."""
        return self.variables[-1]


def bind_kernels(isa: Isa, aggressive: bool, bound: BoundKernels) -> Any:
    """Return the module pass for the operators of ``READERS``, float32; it adds to ``bound``.

    ``aggressive`` also takes kernels that change the last bits (Winograd) or span two layers.
    """

    @tvm.transform.module_pass(opt_level=0, name="BindKernels")
    def run(mod: Any, _context: Any) -> Any:
        return _Binder(mod, isa, aggressive, bound).run()

    return run


@mutator
class _Binder(PyExprMutator):
    """Puts calls of kernels in place of the last operator of each chain; the rest is dead then."""

    def __init__(self, mod: Any, isa: Isa, aggressive: bool, bound: BoundKernels) -> None:
        super().__init__(mod)
        self._isa = isa
        self._aggressive = aggressive
        self._bound = bound
        self._kernels: dict[Any, Any] = {}
        self._calls: dict[Any, Any] = {}
        self._graph = Graph(mod["main"])

    def run(self) -> Any:
        """Return the module with kernels bound wherever a generator solves the problem."""
        graph = self._graph
        for readers in READERS:
            for var, _ in graph.bindings:
                layer = self._layer(var, readers.get(graph.calls(var)))
                if layer is not None:
                    self._bind(layer)
        main = self.builder_.get().get_global_var("main")
        self.builder_.update_func(main, self.visit_expr(self.builder_.get()[main]))
        return relax.transform.DeadCodeElimination(["main"])(self.builder_.get())

    def visit_call_(self, call: Any) -> Any:
        """Visit the arguments of the kernel's call instead of the operator's own."""
        return self.visit_expr_post_order(self._calls.get(call, call))

    def _layer(self, var: Any, reader: Reader | None) -> _Layer | None:
        graph = self._graph
        operator = reader(graph, var) if reader and var not in graph.taken else None
        if operator is None or graph.taken.intersection(operator.variables):
            return None
        problem, variables = operator.problem, operator.variables
        operands: tuple[Any, ...] = ()
        if isinstance(problem, Elementwise):
            chain = chain_after(graph, variables[-1], None)
            spread = tuple(map(tvm_api.static_shape, chain.operands))
            problem = problem.followed_by(chain.epilogue.steps, spread)
            variables, operands = (*variables, *chain.variables[1:]), chain.operands
        elif hasattr(problem, "epilogue"):
            chain = chain_after(graph, variables[-1], getattr(problem, "channel_axis", -1))
            if _spreads_alike(chain, problem):
                problem = replace(problem, epilogue=chain.epilogue)
                variables, operands = (*variables, *chain.variables[1:]), chain.operands
        if isinstance(problem, Conv2d):
            problem = problem.in_any_layout
        generator = generator_for(problem, self._isa, self._aggressive)
        if generator is None:
            return None
        return _Layer(operator, problem, generator, self._with_reshapes(variables), operands)

    def _with_reshapes(self, variables: tuple[Any, ...]) -> tuple[Any, ...]:
        """Add the reshapes that alone use the result: the kernel's output gets their shape."""
        graph = self._graph
        user = graph.only_user(variables[-1])
        while graph.calls(user) == "reshape" and user not in graph.taken:
            variables = (*variables, user)
            user = graph.only_user(user)
        return variables

    def _bind(self, layer: _Layer) -> None:
        pair = self._with_depthwise(layer) if self._aggressive else None
        layers = (layer,) if pair is None else (layer, pair[1])
        call = self._call(layer) if pair is None else self._fused_call(layer, *pair)
        graph = self._graph
        self._calls[graph.value[layers[-1].result]] = call
        for each in layers:
            graph.taken.update(each.variables)
            alone = (v for v in each.operator.absorbed if graph.only_user(v) is not None)
            graph.taken.update(alone)

    def _with_depthwise(self, layer: _Layer) -> tuple[ExpandDepthwise, _Layer] | None:
        """Return the depthwise layer that alone reads this one's result, if better run as one.

        It may read it through zero padding.
        """
        graph = self._graph
        user = graph.only_user(layer.result)
        if graph.calls(user) == "nn.pad":
            user = graph.only_user(user)
        if layer.generator is not pointwise or graph.calls(user) != "nn.conv2d":
            return None
        below = self._layer(user, READERS[0]["nn.conv2d"])
        if below is None or below.generator is not depthwise:
            return None
        if not below.operator.inputs[0].same_as(layer.result):
            return None
        assert isinstance(layer.problem, Conv2d)
        assert isinstance(below.problem, Conv2d)
        both = ExpandDepthwise(layer.problem, below.problem)
        fits = expand_depthwise.applicable(both) and expand_depthwise.worthwhile(both, self._isa)
        return (both, below) if fits else None

    def _call(self, layer: _Layer) -> Any:
        operator, weights = layer.operator, layer.operator.weights
        arguments = list(operator.inputs)
        if weights is not None:
            packed = layer.generator.pack(layer.problem, self._isa, weights)
            arguments.append(relax.const(packed))
        arguments += [*operator.extras, *layer.operands]
        return self._kernel_call(layer.problem, layer.generator, arguments, layer.result)

    def _fused_call(self, layer: _Layer, both: ExpandDepthwise, below: _Layer) -> Any:
        expand, taps = layer.operator.weights, below.operator.weights
        assert expand is not None
        assert taps is not None
        arguments = [
            *layer.operator.inputs,
            relax.const(expand_depthwise.pack(both, self._isa, expand)),
            *layer.operands,
            relax.const(depthwise.pack(both.depthwise, self._isa, taps)),
            *below.operands,
        ]
        return self._kernel_call(both, expand_depthwise, arguments, below.result)

    def _kernel_call(self, problem: Any, generator: Any, arguments: list[Any], result: Any) -> Any:
        shapes = tuple(tvm_api.static_shape(each) for each in (*arguments, result))
        key = (problem, shapes)
        if key not in self._kernels:
            kind = generator.__name__.partition(".kernels.")[2].replace(".", "_")
            if isinstance(problem, Move) and problem.transposes:
                kind = TRANSPOSE
            if isinstance(problem, Conv2d) and problem.input_layout is not None:
                kind = f"{kind}_{FROM_NHWC}"
            name = f"{kind}_{len(self._kernels)}"
            function = generator.generate(problem, self._isa, name, PLANNED_TASKS)
            function = with_parameter_shapes(function, shapes)
            self._kernels[key] = self.builder_.add_func(function, name)
            self._bound[name] = BoundKernel(problem, generator)
        return relax.call_tir(self._kernels[key], arguments, result.ty)


def _spreads_alike(chain: Chain, problem: Any) -> bool:
    """Tell whether operands are as large as the kernel expects, which may see fewer dimensions."""
    axis = getattr(problem, "channel_axis", -1)
    expected = chain.epilogue.operand_shapes(problem.output_shape, axis)
    sizes = [prod(tvm_api.static_shape(operand)) for operand in chain.operands]
    return sizes == [prod(shape) for shape in expected]
