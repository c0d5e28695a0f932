"""Fold what follows from constants and static shapes, with ONNX's reference evaluator."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

# They stay: DequantizeLinear of weights says that they are quantized, the others are no functions
# of their operands.
_KEPT = frozenset({
    "DequantizeLinear", "RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike",
    "Bernoulli", "Multinomial", "If", "Loop", "Scan",
})  # fmt: skip


def fold(part: Any) -> bool:
    """Turn nodes whose results are known into initializers; tell whether there were any."""
    from onnx import numpy_helper

    graph = part.graph
    shapes = known_shapes(graph)
    known = {each.name: each for each in graph.initializer}
    outputs = {port.name for port in graph.output}
    kept = []
    for node in graph.node:
        values = _values(part, node, shapes, known)
        if values is None or outputs.intersection(node.output):
            kept.append(node)
            continue
        for name, value in zip(node.output, values, strict=False):
            if name:
                known[name] = numpy_helper.from_array(np.asarray(value), name)
    if len(kept) == len(graph.node):
        return False
    used = {name for node in kept for name in node.input}.union(outputs)
    constants = [each for name, each in known.items() if name in used]
    del graph.node[:]
    graph.node.extend(kept)
    del graph.initializer[:]
    graph.initializer.extend(constants)
    return True


def known_shapes(graph: Any) -> dict[str, tuple[int, ...]]:
    """Return the static shapes that shape inference has found."""
    found = {}
    for port in (*graph.input, *graph.value_info, *graph.output):
        tensor = port.type.tensor_type
        dims = tensor.shape.dim
        if tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in dims):
            found[port.name] = tuple(dim.dim_value for dim in dims)
    return found


def _values(
    part: Any, node: Any, shapes: dict[str, tuple[int, ...]], known: dict[str, Any]
) -> list[npt.NDArray[Any]] | None:
    """Return a node's results, None if they are computed at run time."""
    from onnx import numpy_helper
    from onnx.reference import ReferenceEvaluator

    if node.domain not in ("", "ai.onnx") or node.op_type in _KEPT:
        return None
    if node.op_type in ("Shape", "Size") and node.input[0] in shapes:
        shape = shapes[node.input[0]]
        if node.op_type == "Size":
            return [np.array(math.prod(shape), np.int64)]
        bounds = {each.name: each.i for each in node.attribute}
        return [np.array(shape[bounds.get("start", 0) : bounds.get("end")], np.int64)]
    if any(name and name not in known for name in node.input):
        return None
    opsets = {each.domain: each.version for each in part.opset_import}
    evaluator = ReferenceEvaluator(node, opsets=opsets)
    feeds = {name: numpy_helper.to_array(known[name]) for name in node.input if name}
    try:
        return list(evaluator.run(None, feeds))
    except Exception:  # left to the importer, whose refusal names the node
        return None
