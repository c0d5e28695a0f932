"""Whether every operator of a graph finds its inputs computed."""

from __future__ import annotations

import tflite

from assay.model.access import ints, is_constant, operator_label, operator_name
from assay.model.checks.tensors import label
from assay.model.damage import Damage


def check_order(model: tflite.Model, graph: tflite.SubGraph) -> None:
    """Raise Damage unless each tensor is given once, and before it is used.

    A tensor is given as an input, a constant or a variable, or because an operator writes it; one
    without elements needs no value.
    """
    tensors = [graph.Tensors(index) for index in range(graph.TensorsLength())]
    inputs, outputs = ints(graph.InputsAsNumpy()), ints(graph.OutputsAsNumpy())
    if not all(0 <= index < len(tensors) for index in (*inputs, *outputs)):
        raise Damage("an input or output of the graph is a tensor that does not exist")
    if len(set(inputs)) != len(inputs):
        raise Damage("two inputs of the graph are the same tensor")
    constant = {i for i, tensor in enumerate(tensors) if is_constant(model, tensor)}
    for index in constant.intersection(inputs):
        raise Damage(f"{label(tensors[index], index)} is an input of the graph and a constant")
    written = constant.union(inputs)
    free = {i for i, tensor in enumerate(tensors) if tensor.IsVariable() or _is_empty(tensor)}
    for number in range(graph.OperatorsLength()):
        operator = graph.Operators(number)
        name = operator_label(number, operator_name(model, operator))
        for index in ints(operator.InputsAsNumpy()):
            if index >= 0 and index not in written and index not in free:
                raise Damage(f"{name} reads {label(tensors[index], index)} before it has a value")
        for index in ints(operator.OutputsAsNumpy()):
            if index in written and index not in free:
                raise Damage(f"{name} writes {label(tensors[index], index)}, which has a value")
            written.add(index)
    for index in outputs:
        if index not in written and index not in free:
            raise Damage(f"the output {label(tensors[index], index)} is never written")


def _is_empty(tensor: tflite.Tensor) -> bool:
    return 0 in ints(tensor.ShapeAsNumpy())
