"""Whether a TFLite file can be trusted: nothing reads it before it has passed."""

from __future__ import annotations

from pathlib import Path

from assay.errors import ModelError
from assay.model.checks.operators import check_operator
from assay.model.checks.order import check_order
from assay.model.checks.signatures import check_metadata, check_signatures
from assay.model.checks.subgraphs import check_subgraphs
from assay.model.checks.tensors import check_tensor
from assay.model.damage import Damage
from assay.model.source import shown
from assay.model.tables import Table, parse

SCHEMA_VERSION = 3


def verified(path: Path, data: bytes) -> Table:
    """Return the model that bytes hold; ModelError, naming ``path``, if it is not sound.

    First that every offset stays inside of the file, then that what is there makes sense: indices,
    shapes, sizes of constants, quantization parameters, and the order of the operators.
    """
    try:
        model = parse(data)
        _check_content(model, data)
        return model
    except Damage as damage:
        raise ModelError(f"{shown(path)} is damaged: {damage.what}; {damage.remedy}") from damage


def _check_content(model: Table, data: bytes) -> None:
    if model.version != SCHEMA_VERSION:
        raise Damage(f"its schema version is {model.version}, not {SCHEMA_VERSION}")
    if not model.subgraphs:
        raise Damage("it holds no graph")
    main = model.subgraphs[0]
    if not len(main.inputs) or not len(main.outputs):
        raise Damage("its graph lacks inputs or outputs")
    for graph in model.subgraphs:
        for index, tensor in enumerate(graph.tensors):
            check_tensor(model, tensor, index, data)
        for index in range(len(graph.operators)):
            check_operator(model, graph, index, len(data))
        check_order(model, graph)
    check_subgraphs(model)
    check_signatures(model)
    check_metadata(model)
