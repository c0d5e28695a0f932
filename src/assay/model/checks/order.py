"""Whether every operator of a graph finds its inputs computed."""

from __future__ import annotations

from assay.model.access import is_constant, operator_label, operator_name
from assay.model.checks.tensors import label
from assay.model.damage import Damage
from assay.model.tables import Table


def check_order(model: Table, graph: Table) -> None:
    """Raise Damage unless each tensor is given once, and before it is used.

    A tensor is given as an input, a constant or a variable, or because an operator writes it; one
    without elements needs no value.
    """
    tensors, inputs, outputs = graph.tensors, tuple(graph.inputs), tuple(graph.outputs)
    if not all(0 <= index < len(tensors) for index in (*inputs, *outputs)):
        raise Damage("an input or output of the graph is a tensor that does not exist")
    if len(set(inputs)) != len(inputs):
        raise Damage("two inputs of the graph are the same tensor")
    constant = {i for i, tensor in enumerate(tensors) if is_constant(model, tensor)}
    for index in constant.intersection(inputs):
        raise Damage(f"{label(tensors[index], index)} is an input of the graph and a constant")
    written = constant.union(inputs)
    free = {i for i, tensor in enumerate(tensors) if tensor.is_variable or 0 in tensor.shape}
    for number, operator in enumerate(graph.operators):
        name = operator_label(number, operator_name(model, operator))
        for index in operator.inputs:
            if index >= 0 and index not in written and index not in free:
                raise Damage(f"{name} reads {label(tensors[index], index)} before it has a value")
        for index in operator.outputs:
            if index in written and index not in free:
                raise Damage(f"{name} writes {label(tensors[index], index)}, which has a value")
            written.add(index)
    for index in outputs:
        if index not in written and index not in free:
            raise Damage(f"the output {label(tensors[index], index)} is never written")
