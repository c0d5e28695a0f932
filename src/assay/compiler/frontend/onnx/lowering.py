"""Spell operators by others that compile, before shapes are inferred. No TVM here.

Quantized operators become their QDQ form, which runs in integers. Source of the semantics: the
operators' own specifications.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

_UINT8_STEPS = 255.0


def lower(part: Any) -> None:
    """Replace the nodes of ``LOWERED``; those that stand for one keep its ``doc_string``."""
    nodes = list(part.graph.node)
    del part.graph.node[:]
    for node in nodes:
        own = LOWERED.get(node.op_type) if node.domain in ("", "ai.onnx") else None
        if own is None:
            part.graph.node.append(node)
        else:
            own(_Site(part.graph, node))


class _Site:
    """A node that is replaced, and the graph that takes in others."""

    def __init__(self, graph: Any, node: Any) -> None:
        self.node = node
        self._graph = graph
        self._prefix = f"{node.output[0]}/{node.op_type}"
        self._count = 0

    def operand(self, position: int) -> str:
        """Return the name of an operand, '' if it is left out."""
        return str(self.node.input[position]) if position < len(self.node.input) else ""

    def add(self, kind: str, *inputs: str, into: str = "", **attributes: Any) -> str:
        """Add a node and return the name of what it makes, ``into`` if that is given."""
        from onnx import helper

        self._count += 1
        name = into or f"{self._prefix}:{self._count}"
        made = helper.make_node(kind, inputs, [name], self._prefix, self.node.doc_string)
        made.attribute.extend(
            helper.make_attribute(key, value) for key, value in attributes.items()
        )
        self._graph.node.append(made)
        return name

    def same(self, kind: str, *inputs: str, into: str = "") -> str:
        """Add a node with the attributes of the one that is replaced."""
        name = self.add(kind, *inputs, into=into)
        self._graph.node[-1].attribute.extend(self.node.attribute)
        return name

    def constant(self, value: Any) -> str:
        """Add a constant, an array or NumPy scalar, and return its name."""
        from onnx import numpy_helper

        self._count += 1
        name = f"{self._prefix}:{self._count}"
        self._graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def dequantized(self, first: int, axis: int) -> str:
        """Return an operand in real numbers; its scale and zero point are the next ones."""
        return self.add("DequantizeLinear", *(self.operand(first + i) for i in range(3)), axis=axis)


def _qlinear_conv(site: _Site) -> None:
    """x, scale, zero point, w, scale, zero point, y's scale and zero point, bias."""
    operands = [site.dequantized(0, 1), site.dequantized(3, 0)]
    if bias := site.operand(8):
        scale = site.add("Mul", site.operand(1), site.operand(4))
        operands.append(site.add("DequantizeLinear", bias, scale, axis=0))
    real = site.same("Conv", *operands)
    site.add("QuantizeLinear", real, site.operand(6), site.operand(7), into=site.node.output[0])


def _qlinear_matmul(site: _Site) -> None:
    """a, scale, zero point, b, scale, zero point, y's scale and zero point."""
    real = site.add("MatMul", site.dequantized(0, -2), site.dequantized(3, -1))
    site.add("QuantizeLinear", real, site.operand(6), site.operand(7), into=site.node.output[0])


def _conv_integer(site: _Site) -> None:
    """x, w, and their zero points: sums are exact below 2**24."""
    operands = []
    for position in (0, 1):
        value = site.add("Cast", site.operand(position), to=1)
        zero_point = site.operand(position + 2)
        if zero_point:
            shape = site.constant(np.array([-1, 1, 1, 1], np.int64))
            offset = site.add("Cast", zero_point, to=1)
            value = site.add("Sub", value, site.add("Reshape", offset, shape))
        operands.append(value)
    site.add("Cast", site.same("Conv", *operands), into=site.node.output[0], to=6)


def _dynamic_quantize(site: _Site) -> None:
    """Scale and zero point of a tensor by its range, which takes in 0, and its values in uint8."""
    x, outputs = site.operand(0), [*site.node.output, "", ""]
    zero, top = site.constant(np.float32(0)), site.constant(np.float32(_UINT8_STEPS))
    high = site.add("Max", site.add("ReduceMax", x, keepdims=0), zero)
    low = site.add("Min", site.add("ReduceMin", x, keepdims=0), zero)
    scale = site.add("Div", site.add("Sub", high, low), top, into=outputs[1])
    middle = site.add("Round", site.add("Neg", site.add("Div", low, scale)))
    middle = site.add("Clip", middle, zero, top)
    steps = site.add("Add", site.add("Round", site.add("Div", x, scale)), middle)
    site.add("Cast", site.add("Clip", steps, zero, top), into=outputs[0], to=2)
    if outputs[2]:
        site.add("Cast", middle, into=outputs[2], to=2)


def _celu(site: _Site) -> None:
    """max(x, 0) + min(0, alpha * (exp(x / alpha) - 1))."""
    alpha = next((each.f for each in site.node.attribute if each.name == "alpha"), 1.0)
    x, zero = site.operand(0), site.constant(np.float32(0))
    one, factor = site.constant(np.float32(1)), site.constant(np.float32(alpha))
    curve = site.add("Sub", site.add("Exp", site.add("Div", x, factor)), one)
    below = site.add("Min", site.add("Mul", curve, factor), zero)
    site.add("Add", site.add("Max", x, zero), below, into=site.node.output[0])


def _group_norm(site: _Site) -> None:
    """Normalize groups of channels; the form before operator set 21 is deprecated everywhere."""
    attributes = {each.name: each for each in site.node.attribute}
    x, column = site.operand(0), site.constant(np.array([-1, 1], np.int64))
    epsilon = attributes["epsilon"].f if "epsilon" in attributes else 1e-5
    groups = site.constant(np.array([0, attributes["num_groups"].i, -1], np.int64))
    last = site.constant(np.array([2], np.int64))
    rows = site.add("Reshape", x, groups)
    centred = site.add("Sub", rows, site.add("ReduceMean", rows, last))
    variance = site.add("ReduceMean", site.add("Mul", centred, centred), last)
    spread = site.add("Sqrt", site.add("Add", variance, site.constant(np.float32(epsilon))))
    normal = site.add("Div", centred, spread)
    rest = site.constant(np.array([-1], np.int64))
    shape = site.add("Concat", site.add("Shape", x, end=2), rest, axis=0)
    normal = site.add("Reshape", normal, shape)
    scale, bias = (site.add("Reshape", site.operand(at), column) for at in (1, 2))
    scaled = site.add("Add", site.add("Mul", normal, scale), bias)
    site.add("Reshape", scaled, site.add("Shape", x), into=site.node.output[0])


def _reduce_log_sum(site: _Site) -> None:
    """Take the logarithm of a sum; axes are an attribute before operator set 18."""
    attributes = {each.name: each for each in site.node.attribute}
    operands = [site.operand(0), site.operand(1)]
    if "axes" in attributes:
        operands[1] = site.constant(np.array(attributes.pop("axes").ints, np.int64))
    kept = {name: each.i for name, each in attributes.items()}
    total = site.add("ReduceSum", *operands[: 2 if operands[1] else 1], **kept)
    site.add("Log", total, into=site.node.output[0])


LOWERED: dict[str, Callable[[_Site], None]] = {
    "Celu": _celu,
    "ConvInteger": _conv_integer,
    "DynamicQuantizeLinear": _dynamic_quantize,
    "GroupNormalization": _group_norm,
    "QLinearConv": _qlinear_conv,
    "QLinearMatMul": _qlinear_matmul,
    "ReduceLogSum": _reduce_log_sum,
}
"""Operator -> what adds the nodes that stand for it."""
