"""Whether a TFLite file can be trusted: nothing reads it before it has passed."""

from __future__ import annotations

from pathlib import Path

import tflite

from assay.errors import ModelError
from assay.model.checks.operators import check_operator
from assay.model.checks.order import check_order
from assay.model.checks.signatures import check_metadata, check_signatures
from assay.model.checks.structure import check_structure
from assay.model.checks.subgraphs import check_subgraphs
from assay.model.checks.tensors import check_tensor
from assay.model.damage import Damage
from assay.model.source import shown

SCHEMA_VERSION = 3


def verify(path: Path, data: bytes) -> None:
    """Raise ModelError, naming ``path``, unless the bytes are a sound TFLite model.

    First that every offset stays inside of the file, then that what is there makes sense: indices,
    shapes, sizes of constants, quantization parameters, and the order of the operators.
    """
    try:
        check_structure(data)
        _check_content(tflite.Model.GetRootAs(data, 0), data)
    except Damage as damage:
        raise ModelError(f"{shown(path)} is damaged: {damage.what}; {damage.remedy}") from damage


def _check_content(model: tflite.Model, data: bytes) -> None:
    if model.Version() != SCHEMA_VERSION:
        raise Damage(f"its schema version is {model.Version()}, not {SCHEMA_VERSION}")
    if model.SubgraphsLength() == 0:
        raise Damage("it holds no graph")
    main = model.Subgraphs(0)
    if main.InputsLength() == 0 or main.OutputsLength() == 0:
        raise Damage("its graph lacks inputs or outputs")
    for number in range(model.SubgraphsLength()):
        graph = model.Subgraphs(number)
        for index in range(graph.TensorsLength()):
            check_tensor(model, graph.Tensors(index), index, data)
        for index in range(graph.OperatorsLength()):
            check_operator(model, graph, index, len(data))
        check_order(model, graph)
    check_subgraphs(model)
    check_signatures(model)
    check_metadata(model)
