"""Whether operators that run other graphs (IF, WHILE, ...) can ever end."""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

import tflite
from flatbuffers.number_types import Int32Flags
from flatbuffers.table import Table

from assay.model.damage import Damage
from assay.model.schema import TABLES, UNIONS


def check_subgraphs(model: tflite.Model) -> None:
    """Raise Damage unless every graph that an operator runs exists and does not run itself."""
    calls: dict[int, set[int]] = {}
    count = model.SubgraphsLength()
    for number in range(count):
        graph = model.Subgraphs(number)
        operators = (graph.Operators(index) for index in range(graph.OperatorsLength()))
        calls[number] = {called for operator in operators for called in _called(operator)}
        if not all(0 <= called < count for called in calls[number]):
            raise Damage(f"an operator of graph {number} runs a graph that does not exist")
    try:
        TopologicalSorter(calls).prepare()
    except CycleError as error:
        raise Damage("a graph runs itself without end") from error


def _called(operator: tflite.Operator) -> Iterator[int]:
    yield from _indices("BuiltinOptions", operator.BuiltinOptionsType(), operator.BuiltinOptions())
    yield from _indices(
        "BuiltinOptions2", operator.BuiltinOptions2Type(), operator.BuiltinOptions2()
    )


def _indices(union: str, member: int, options: Table | None) -> Iterator[int]:
    """Yield the fields of an options table that number a graph; an absent one means graph 0."""
    if options is None:
        return
    for slot, field in enumerate(TABLES.get(UNIONS[union].get(member, ""), ())):
        if field.kind == "number" and "subgraph" in field.name:
            offset = options.Offset(4 + 2 * slot)
            yield options.Get(Int32Flags, options.Pos + offset) if offset else 0
