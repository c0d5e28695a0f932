"""Whether signatures and metadata point to things that exist."""

from __future__ import annotations

from assay.model.damage import Damage, shortened
from assay.model.tables import Table


def check_signatures(model: Table) -> None:
    """Raise Damage unless signatures name inputs and outputs of their graph, and no key twice."""
    inputs = [set(graph.inputs) for graph in model.subgraphs]
    outputs = [set(graph.outputs) for graph in model.subgraphs]
    keys = set()
    for signature in model.signature_defs:
        key, number = signature.signature_key, signature.subgraph_index
        if key in keys:
            raise Damage(f"it holds two signatures {shortened(key)}")
        keys.add(key)
        if number >= len(inputs):
            raise Damage(f"signature {shortened(key)} is of a graph that does not exist")
        takes = {entry.tensor_index for entry in signature.inputs}
        gives = {entry.tensor_index for entry in signature.outputs}
        if not takes <= inputs[number] or not gives <= outputs[number]:
            raise Damage(
                f"signature {shortened(key)} names a tensor that its graph does not take or give"
            )


def check_metadata(model: Table) -> None:
    """Raise Damage unless each metadata entry has a buffer."""
    for entry in model.metadata:
        if entry.buffer >= len(model.buffers):
            raise Damage(f"metadata {shortened(entry.name)} uses a buffer that does not exist")
