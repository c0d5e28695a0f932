"""Spell parts of an ONNX graph as kernels take them. No TVM here."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt


def rewrite(part: Any) -> None:
    """Fold batch normalization into weights, and lay the weights of Gemm as [in, out]."""
    graph = _Constants(part.graph)
    for node in list(part.graph.node):
        if node.op_type == "BatchNormalization":
            _fold_batch_norm(graph, node)
        elif node.op_type == "Gemm":
            _lay_weights(graph, node)


class _Constants:
    """A graph with its constants, and who makes and who uses each value."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.known = {each.name: each for each in graph.initializer}
        self.maker = {name: node for node in graph.node for name in node.output}
        self.uses = Counter(name for node in graph.node for name in node.input)
        self.uses.update(port.name for port in graph.output)

    def value(self, name: str) -> npt.NDArray[Any] | None:
        from onnx import numpy_helper

        tensor = self.known.get(name)
        return None if tensor is None else numpy_helper.to_array(tensor)

    def add(self, name: str, value: npt.NDArray[Any]) -> str:
        """Add a constant under a new name that starts with ``name``; return that."""
        from onnx import numpy_helper

        taken = self.known.keys() | self.maker.keys()
        while name in taken:
            name += "_"
        tensor = numpy_helper.from_array(np.ascontiguousarray(value), name)
        self.graph.initializer.append(tensor)
        self.known[name] = tensor
        return name


def _fold_batch_norm(graph: _Constants, node: Any) -> None:
    """Scale weights and bias of the convolution before: ``y = x * s + t`` in each channel."""
    found = [graph.value(name) for name in node.input[1:5]]
    if any(value is None for value in found) or len(node.output) > 1:
        return
    epsilon = next((each.f for each in node.attribute if each.name == "epsilon"), 1e-5)
    if any(each.name == "training_mode" and each.i for each in node.attribute):
        return
    conv = graph.maker.get(node.input[0])
    if conv is None or conv.op_type != "Conv" or graph.uses[node.input[0]] != 1:
        return
    weights = graph.value(conv.input[1])
    bias = graph.value(conv.input[2]) if len(conv.input) > 2 else np.zeros(1)
    if weights is None or bias is None or weights.dtype != np.float32:
        return
    gamma, beta, mean, variance = (np.asarray(value, np.float64) for value in found)
    scale = gamma / np.sqrt(variance + epsilon)
    shift = beta - mean * scale
    along = (-1, *[1] * (weights.ndim - 1))
    scaled = (weights * scale.reshape(along)).astype(np.float32)
    moved = (bias * scale + shift).astype(np.float32)
    operands = [conv.input[0], graph.add(conv.input[1], scaled), graph.add(node.output[0], moved)]
    del conv.input[:]
    conv.input.extend(operands)
    conv.output[0] = node.output[0]
    graph.maker[node.output[0]] = conv
    graph.graph.node.remove(node)


def _lay_weights(graph: _Constants, node: Any) -> None:
    """Transpose constant weights, also quantized ones, and drop the attribute that says so."""
    transposed = next((each for each in node.attribute if each.name == "transB"), None)
    if transposed is None or not transposed.i:
        return
    maker = graph.maker.get(node.input[1])
    if maker is not None and maker.op_type == "DequantizeLinear" and graph.uses[node.input[1]] == 1:
        values = graph.value(maker.input[0])
        scale = graph.value(maker.input[1])
        if values is None or scale is None:
            return
        maker.input[0] = graph.add(maker.input[0], values.T)
        axis = next((each for each in maker.attribute if each.name == "axis"), None)
        if scale.size > 1:
            if axis is None:
                axis = maker.attribute.add(name="axis", type=2, i=1)
            axis.i = 1 - axis.i % 2
    else:
        values = graph.value(node.input[1])
        if values is None:
            return
        node.input[1] = graph.add(node.input[1], values.T)
    node.attribute.remove(transposed)
