"""Whether signatures and metadata point to things that exist."""

from __future__ import annotations

import tflite

from assay.model.access import ints, text
from assay.model.damage import Damage


def check_signatures(model: tflite.Model) -> None:
    """Raise Damage unless signatures name inputs and outputs of their graph, and no key twice."""
    keys = set()
    for index in range(model.SignatureDefsLength()):
        signature = model.SignatureDefs(index)
        key = text(signature.SignatureKey())
        if key in keys:
            raise Damage(f"it holds two signatures {key!r}")
        keys.add(key)
        if signature.SubgraphIndex() >= model.SubgraphsLength():
            raise Damage(f"signature {key!r} is of a graph that does not exist")
        graph = model.Subgraphs(signature.SubgraphIndex())
        inputs = [signature.Inputs(i).TensorIndex() for i in range(signature.InputsLength())]
        outputs = [signature.Outputs(i).TensorIndex() for i in range(signature.OutputsLength())]
        known_inputs, known_outputs = ints(graph.InputsAsNumpy()), ints(graph.OutputsAsNumpy())
        if not set(inputs) <= set(known_inputs) or not set(outputs) <= set(known_outputs):
            raise Damage(f"signature {key!r} names a tensor that its graph does not give or take")


def check_metadata(model: tflite.Model) -> None:
    """Raise Damage unless each metadata entry has a buffer."""
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        if entry.Buffer() >= model.BuffersLength():
            raise Damage(f"metadata {text(entry.Name())!r} uses a buffer that does not exist")
