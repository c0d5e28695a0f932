"""Whether signatures and metadata point to things that exist."""

from __future__ import annotations

import tflite

from assay.model.access import ints, text
from assay.model.damage import Damage, shortened


def check_signatures(model: tflite.Model) -> None:
    """Raise Damage unless signatures name inputs and outputs of their graph, and no key twice."""
    graphs = [model.Subgraphs(number) for number in range(model.SubgraphsLength())]
    inputs = [set(ints(graph.InputsAsNumpy())) for graph in graphs]
    outputs = [set(ints(graph.OutputsAsNumpy())) for graph in graphs]
    keys = set()
    for index in range(model.SignatureDefsLength()):
        signature = model.SignatureDefs(index)
        key, number = text(signature.SignatureKey()), signature.SubgraphIndex()
        if key in keys:
            raise Damage(f"it holds two signatures {shortened(key)}")
        keys.add(key)
        if number >= len(graphs):
            raise Damage(f"signature {shortened(key)} is of a graph that does not exist")
        takes = {signature.Inputs(i).TensorIndex() for i in range(signature.InputsLength())}
        gives = {signature.Outputs(i).TensorIndex() for i in range(signature.OutputsLength())}
        if not takes <= inputs[number] or not gives <= outputs[number]:
            raise Damage(
                f"signature {shortened(key)} names a tensor that its graph does not take or give"
            )


def check_metadata(model: tflite.Model) -> None:
    """Raise Damage unless each metadata entry has a buffer."""
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        if entry.Buffer() >= model.BuffersLength():
            raise Damage(
                f"metadata {shortened(text(entry.Name()))} uses a buffer that does not exist"
            )
