"""Let layers of quantized networks that compute in FP32 sum integers, and scale the sums.

The importer dequantizes both operands of a convolution or dense layer. Products of real numbers are
rounded, and their sum depends on its order; products of the integers that they stand for are exact
in FP32, and so are sums below 2**24. A layer then rounds once, by its channel's factor, as integer
kernels do (see ``kernels.int8.problem.multipliers``).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from assay.compiler import tvm_api
from assay.compiler.frontend.naming import again
from assay.compiler.passes.chains import Graph
from assay.compiler.passes.quantized import linear, products, transposed

if TYPE_CHECKING:
    from numpy.typing import NDArray

LAYERS = MappingProxyType(
    {
        "nn.conv2d": linear.read_layer,
        "nn.conv2d_transpose": transposed.read_layer,
        "matmul": products.read_layer,
    }
)


def sum_integers() -> Any:
    """Return the module pass; layers that are no such layers stay as they are."""

    @tvm.transform.module_pass(opt_level=0, name="SumIntegers")
    def run(mod: Any, _context: Any) -> Any:
        return _Rewriter(mod).run()

    return run


@dataclass(frozen=True)
class _Layer:
    """The variables of a layer: its products, where the bias finds them, the sum, the result.

    ``channels_first`` tells the order of the sum.
    """

    anchor: Any
    moved: Any
    summed: Any
    stored: Any
    bias: NDArray[np.int32]
    factors: NDArray[np.float32]
    channels_first: bool


def _layers(graph: Graph) -> list[_Layer]:
    found = []
    for var, _ in graph.bindings:
        reader = LAYERS.get(graph.calls(var))
        read = reader(graph, var) if reader else None
        if read is None:
            continue
        layer = read[0]
        stored = next(each for each in layer.variables if graph.calls(each) == "quantize")
        sums = layer.variables[: layer.variables.index(stored)]
        if any(graph.calls(each) == "clip" for each in sums):
            continue
        moved = [each for each in sums if graph.calls(each) not in ("add", "nn.relu")]
        summed = [each for each in sums if graph.calls(each) != "nn.relu"][-1]
        geometry = layer.problem.geometry
        first = layer.result_nchw or getattr(geometry, "layout", "") == "NCHW"
        *_, bias, factors = layer.values
        found.append(_Layer(var, moved[-1], summed, stored, bias, factors, first))
    return found


@mutator
class _Rewriter(PyExprMutator):
    def __init__(self, mod: Any) -> None:
        super().__init__(mod)
        self._anchors: dict[Any, _Layer] = {}
        self._sums: dict[Any, _Layer] = {}
        self._stored: set[Any] = set()

    def run(self) -> Any:
        """Return the module with all layers rewritten."""
        main = self.builder_.get().get_global_var("main")
        function = self.builder_.get()[main]
        self._graph = Graph(function)
        for layer in _layers(self._graph):
            self._anchors[layer.anchor] = self._sums[layer.summed] = layer
            self._stored.add(layer.stored)
        if self._anchors:
            self.builder_.update_func(main, self.visit_expr(function))
        return relax.transform.DeadCodeElimination(["main"])(self.builder_.get())

    def visit_var_binding_(self, binding: Any) -> None:
        """Emit a layer's variables anew; visit any other one as it is."""
        var, call = binding.var, binding.value
        if var in self._anchors:
            made = relax.Call(call.op, [self._units(arg) for arg in call.args], call.attrs)
        elif var in self._sums and self._graph.calls(var) == "add":
            made = self._with_bias(call, self._sums[var])
        elif var in self._sums:
            made = self.visit_expr(call)
        elif var in self._stored:
            made = _with_scale_one(call, self.visit_expr(call.args[0]))
        else:
            super().visit_var_binding_(binding)
            return
        own = self.builder_.emit(made, name_hint=var.name)
        if var in self._sums:
            layer = self._sums[var]
            own = self.builder_.emit(_scaled(own, layer), name_hint=again(layer.stored.name))
        inside = isinstance(var, relax.DataflowVar)
        self.set_var_remap(var, own if inside else self.builder_.emit_output(own))

    def _units(self, expr: Any) -> Any:
        """Return what ``expr`` dequantizes with a scale of 1, through what moves values."""
        call = self._graph.value[expr]
        if tvm_api.op_name(call) == "dequantize":
            made = _with_scale_one(call, self.visit_expr(call.args[0]))
        else:
            made = relax.Call(call.op, [self._units(call.args[0]), *call.args[1:]], call.attrs)
        return self.builder_.emit(made, name_hint=again(expr.name))

    def _with_bias(self, call: Any, layer: _Layer) -> Any:
        sums, bias = call.args if call.args[0].same_as(layer.moved) else call.args[::-1]
        values = layer.bias.astype(np.float32).reshape(tvm_api.static_shape(bias))
        return relax.op.add(self.visit_expr(sums), relax.const(values))


def _with_scale_one(call: Any, operand: Any) -> Any:
    """Return a quantize or dequantize call of that operand which keeps its zero point only."""
    return relax.Call(call.op, [operand, relax.const(1.0, "float32"), call.args[2]], call.attrs)


def _scaled(sums: Any, layer: _Layer) -> Any:
    """Multiply sums by the factor of their channel."""
    factors = layer.factors
    if layer.channels_first:
        factors = factors.reshape(-1, 1, 1)
    return relax.op.multiply(sums, relax.const(factors))
