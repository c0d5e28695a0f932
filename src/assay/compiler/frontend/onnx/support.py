"""Which nodes of an ONNX graph do not compile, and why: told without TVM."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from assay.compiler.frontend.onnx.element_types import wrong_types
from assay.compiler.frontend.onnx.graph import open_dimension, static_graph
from assay.compiler.frontend.onnx.lowering import obstacle
from assay.compiler.frontend.onnx.lowering.site import Surroundings
from assay.compiler.frontend.onnx.operators import OPERATORS
from assay.compiler.frontend.support import Unsupported
from assay.model.facts import Model
from assay.model.onnx.load import load_onnx

_BLOCKS = {"block_size": (lambda each: each.i > 0, "it quantizes in blocks")}

# Operator -> attribute -> whether its value is refused, and why.
_REFUSED: dict[str, dict[str, tuple[Callable[[Any], bool], str]]] = {
    "QuantizeLinear": _BLOCKS,
    "DequantizeLinear": _BLOCKS,
    "Resize": {
        "antialias": (lambda each: each.i != 0, "it smooths what it makes smaller (antialias)"),
        "keep_aspect_ratio_policy": (
            lambda each: each.s != b"stretch",
            "it keeps the ratio of its sides (keep_aspect_ratio_policy)",
        ),
        "coordinate_transformation_mode": (
            lambda each: each.s in (b"half_pixel_symmetric", b"tf_crop_and_resize"),
            "no kernel has its coordinate_transformation_mode",
        ),
    },
    "TopK": {"sorted": (lambda each: each.i == 0, "it leaves the order of its results open")},
}


def unsupported_in(model: Model) -> list[Unsupported]:
    """Return what does not compile of a file, for a batch of 1 if it is open.

    A dimension that is open besides counts against the first operator. ModelError if the file
    cannot be read any more.
    """
    why = open_dimension(model)
    if why:
        return [Unsupported(each.index, each.name, why) for each in model.operators[:1]]
    return unsupported(static_graph(load_onnx(model.path).proto, model, batch=1), model)


def unsupported(part: Any, model: Model) -> list[Unsupported]:
    """Return all operators of a model that do not compile, in order.

    ``part`` is its static graph, where some of its nodes are spelled by others.
    """
    wrong = wrong_types(model)
    names = {operator.index: operator.name for operator in model.operators}
    found = [each for each in _unsupported(part) if each.index not in wrong]
    found += [Unsupported(index, names[index], why) for index, why in wrong.items()]
    return sorted(found, key=lambda each: each.index)


def _unsupported(part: Any) -> list[Unsupported]:
    graph = part.graph
    around = Surroundings(part)
    shapes, constants = around.shapes, around.constants
    found = []
    open_names: set[str] = set()
    for node in graph.node:
        why = _reason(node, constants) or obstacle(node, around)
        why = why or _partial_pixels(node, constants, shapes)
        inferred = all(name in shapes or not name for name in node.output)
        # Only the first of a chain is to blame for shapes that are open.
        if not why and not inferred and open_names.isdisjoint(node.input):
            why = "the shape of its result is computed at run time"
        if why:
            name = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
            found.append(Unsupported(int(node.doc_string), name, why))
        if why or not inferred:
            open_names.update(node.output)
    return found


def _partial_pixels(node: Any, constants: Mapping[str, Any], shapes: Mapping[str, Any]) -> str:
    """Tell of scales to a size that they have to be rounded to: TVM's kernels know sizes only."""
    from onnx import numpy_helper

    name = node.input[2] if node.op_type == "Resize" and len(node.input) > 2 else ""
    if not name or node.input[0] not in shapes:
        return ""
    sizes = numpy_helper.to_array(constants[name]) * shapes[node.input[0]]
    return "" if (sizes == sizes.round()).all() else "its scales give no whole number of pixels"


def _reason(node: Any, constants: Mapping[str, Any]) -> str:
    if node.domain not in ("", "ai.onnx"):
        return "not an operator of ONNX itself"
    entry = OPERATORS.get(node.op_type)
    if entry is None:
        return "not known to assay"
    for position, what in entry.known.items():
        name = node.input[position] if position < len(node.input) else ""
        if name and name not in constants:
            return f"its {what} is computed at run time"
    attributes = {each.name: each for each in node.attribute}
    for name, (refused, why) in _REFUSED.get(node.op_type, {}).items():
        if name in attributes and refused(attributes[name]):
            return why
    return ""
