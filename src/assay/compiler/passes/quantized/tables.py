"""Read whatever computes 8-bit values from the 8-bit values of one tensor, element by element.

However many operators that is, it is a function of 256 numbers: it is computed for all of them
here, and the kernel looks the results up. Quantization in between is part of the function, so that
``x * sigmoid(x)``, which converters write as two quantized operators, is one table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.compiler import tvm_api
from assay.compiler.kernels.int8.lookup import Lookup
from assay.compiler.passes.chains import Graph
from assay.compiler.passes.quantized.affine import SHIFTS, read_affine
from assay.compiler.passes.quantized.operator import QuantizedOperator

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _erf(x: Any) -> Any:
    from scipy.special import erf  # a quarter of a second that few models need

    return erf(x)


def _expit(x: Any) -> Any:
    from scipy.special import expit

    return expit(x)


_GELU = np.float32(np.sqrt(2 / np.pi))
_FUNCTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "abs": np.abs,
        "add": np.add,
        "ceil": np.ceil,
        "cos": np.cos,
        "divide": np.divide,
        "erf": _erf,
        "exp": np.exp,
        "floor": np.floor,
        "log": np.log,
        "maximum": np.maximum,
        "minimum": np.minimum,
        "multiply": np.multiply,
        "negative": np.negative,
        "nn.gelu": lambda x: x * np.float32(0.5) * (1 + _erf(x * np.float32(np.sqrt(0.5)))),
        "nn.gelu_tanh": lambda x: (
            x * np.float32(0.5) * (1 + np.tanh(_GELU * (x + np.float32(0.044715) * x**3)))
        ),
        "nn.relu": lambda x: np.maximum(x, np.float32(0)),
        "nn.silu": lambda x: x * _expit(x),
        "power": np.power,
        "rsqrt": lambda x: np.float32(1) / np.sqrt(x),
        "sigmoid": _expit,
        "sign": np.sign,
        "sin": np.sin,
        "sqrt": np.sqrt,
        "square": np.square,
        "subtract": np.subtract,
        "tanh": np.tanh,
    }
)
"""What the operators compute, on float32 arrays."""

_VALUES = 256


def read(graph: Graph, var: Any) -> QuantizedOperator | None:
    """Read a ``quantize`` of a function of one 8-bit tensor of the same shape."""
    after = graph.only_user(var)
    clipped = graph.calls(after) == "clip"
    sink = after if clipped else var
    function = _Function(graph)
    leaves = function.inner_leaves(sink)
    if leaves is None or len(leaves) != 1:
        return None
    (source,) = leaves
    shape = tvm_api.static_shape(var)
    if source is var or tvm_api.static_shape(source) != shape:
        return None
    with np.errstate(all="ignore"):
        values = function.value(sink)
    if np.isnan(values).any():
        return None
    table = (values + SHIFTS[str(sink.ty.dtype)]).astype(np.uint8)
    variables = (var, sink) if clipped else (var,)
    return QuantizedOperator(Lookup(shape), variables, (source,), (table,))


class _Function:
    """The element-wise operators behind a variable, as a function of stored values 0 to 255."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._known: dict[Any, Any] = {}

    def _call(self, var: Any) -> Any:
        return self._graph.value.get(var)

    def inner_leaves(self, var: Any) -> frozenset[Any] | None:
        """Return the 8-bit tensors that an 8-bit variable is an element-wise function of."""
        name, call = self._graph.calls(var), self._call(var)
        if name == "clip":
            return self.inner_leaves(call.args[0])
        if name != "quantize" or read_affine(call, str(call.attrs.out_dtype)) is None:
            return None
        return self._leaves(call.args[0])

    def _leaves(self, expr: Any) -> frozenset[Any] | None:
        """Return the same for a float32 expression; None if not all of it is element-wise."""
        constant = tvm_api.constant_value(expr)
        if constant is not None:
            return frozenset() if constant.size == 1 else None
        if expr not in self._known:
            self._known[expr] = self._leaves_of(self._graph.calls(expr), expr)
        found: frozenset[Any] | None = self._known[expr]
        return found

    def _leaves_of(self, name: str, expr: Any) -> frozenset[Any] | None:
        call = self._call(expr)
        if name == "dequantize":
            stored = call.args[0]
            if read_affine(call, str(stored.ty.dtype)) is None:
                return None
            own = tvm_api.constant_value(stored)
            if own is not None:
                return frozenset() if own.size == 1 else None
            inner = self.inner_leaves(stored)
            alone = inner is not None and len(inner) == 1
            return inner if alone else frozenset([stored])
        if name == "clip":
            return self._leaves(call.args[0])
        if name == "nn.leakyrelu":
            return self._leaves(call.args[0])
        if name not in _FUNCTIONS:
            return None
        parts = [self._leaves(argument) for argument in call.args]
        if any(part is None for part in parts):
            return None
        return frozenset().union(*(part for part in parts if part is not None))

    def value(self, var: Any) -> NDArray[Any]:
        """Return an 8-bit variable's values, in the model's integers, for all stored ones."""
        name, call = self._graph.calls(var), self._call(var)
        inner = self.inner_leaves(var)
        if inner is None or len(inner) != 1:
            return np.arange(_VALUES, dtype=np.float32) - SHIFTS[str(var.ty.dtype)]
        if name == "clip":
            low, high = (tvm_api.scalar(limit) for limit in call.args[1:3])
            return np.clip(self.value(call.args[0]), low, high)
        affine = read_affine(call, str(call.attrs.out_dtype))
        assert affine is not None
        reals = np.broadcast_to(self._real(call.args[0]), _VALUES)
        steps = np.rint(reals / np.float32(affine.scale)) + affine.zero_point
        span = np.iinfo(affine.dtype)
        return np.clip(steps, span.min, span.max)

    def _real(self, expr: Any) -> NDArray[Any]:
        constant = tvm_api.constant_value(expr)
        if constant is not None:
            return constant.reshape(()).astype(np.float32)
        name, call = self._graph.calls(expr), self._graph.value[expr]
        if name == "dequantize":
            stored = call.args[0]
            affine = read_affine(call, str(stored.ty.dtype))
            assert affine is not None
            own = tvm_api.constant_value(stored)
            integers = self.value(stored) if own is None else own.reshape(())
            return (integers.astype(np.float32) - affine.zero_point) * np.float32(affine.scale)
        if name == "clip":
            low, high = (np.float32(tvm_api.scalar(limit)) for limit in call.args[1:3])
            return np.clip(self._real(call.args[0]), low, high)
        if name == "nn.leakyrelu":
            value = self._real(call.args[0])
            return np.where(value > 0, value, value * np.float32(call.attrs.alpha))
        arguments = [self._real(argument) for argument in call.args]
        return np.asarray(_FUNCTIONS[name](*arguments), np.float32)
