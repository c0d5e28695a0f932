"""The part of an ONNX graph that is compiled, with static shapes. No TVM here."""

from __future__ import annotations

from typing import Any

from assay.compiler.frontend.onnx.folding import fold
from assay.compiler.frontend.onnx.lowering import lower
from assay.compiler.frontend.onnx.rewrites import rewrite
from assay.errors import ConfigError
from assay.model.facts import Model
from assay.model.onnx.types import dtype_number
from assay.model.source import shown

_ROUNDS = 16  # of folding and inference; each resolves one more link of a chain of shapes


def static_graph(proto: Any, model: Model, batch: int) -> Any:
    """Return a ModelProto of the model's operators whose shapes are all known.

    ``model`` may be cut; nodes keep their order, and their ``doc_string`` becomes their index in
    the file. ConfigError if a dimension other than the batch is open.
    """
    part = _settled(_part(proto, model, batch))
    if lower(part):
        part = _settled(part)
    rewrite(part)
    return part


def _settled(part: Any) -> Any:
    """Return a part with all shapes that follow from its inputs, and what follows from those."""
    import onnx

    for _ in range(_ROUNDS):
        part = onnx.shape_inference.infer_shapes(part, data_prop=True)
        if not fold(part):
            break
    return part


def open_dimension(model: Model) -> str:
    """Return why a model's shapes are not known once its batch is; '' if they are."""
    for spec in model.inputs:
        for at, size in enumerate(spec.shape):
            if size < 0 and at:
                return (
                    f"input {spec.name!r} leaves dimension {at} open, and only the first one, "
                    "the batch, may be"
                )
    return ""


def _part(proto: Any, model: Model, batch: int) -> Any:
    import onnx

    part = onnx.ModelProto()
    part.ir_version = proto.ir_version
    part.opset_import.extend(proto.opset_import)
    graph = part.graph
    graph.name = proto.graph.name or "graph"
    for operator in model.operators:
        node = graph.node.add()
        node.CopyFrom(proto.graph.node[operator.index])
        node.doc_string = str(operator.index)
    used = {name for node in graph.node for name in node.input}
    used.update(spec.name for spec in model.outputs)
    graph.initializer.extend(each for each in proto.graph.initializer if each.name in used)
    if why := open_dimension(model):
        raise ConfigError(f"{shown(model.path)}: {why}; export the model with a fixed size")
    for spec in model.inputs:
        shape = tuple(batch if size < 0 else size for size in spec.shape)
        graph.input.append(
            onnx.helper.make_tensor_value_info(spec.name, dtype_number(spec.dtype), shape)
        )
    for spec in model.outputs:
        graph.output.append(
            onnx.helper.make_tensor_value_info(spec.name, dtype_number(spec.dtype), None)
        )
    return part
