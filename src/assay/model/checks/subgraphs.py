"""Whether operators that run other graphs (IF, WHILE, ...) can ever end."""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

from assay.model.damage import Damage
from assay.model.schema import TABLES
from assay.model.tables import Table


def check_subgraphs(model: Table) -> None:
    """Raise Damage unless every graph that an operator runs exists and does not run itself."""
    calls: dict[int, set[int]] = {}
    count = len(model.subgraphs)
    for number, graph in enumerate(model.subgraphs):
        calls[number] = {called for operator in graph.operators for called in _called(operator)}
        if not all(0 <= called < count for called in calls[number]):
            raise Damage(f"an operator of graph {number} runs a graph that does not exist")
    try:
        TopologicalSorter(calls).prepare()
    except CycleError as error:
        raise Damage("a graph runs itself without end") from error


def _called(operator: Table) -> Iterator[int]:
    """Yield the fields of an operator's options that number a graph."""
    for options in (operator.builtin_options, operator.builtin_options_2):
        for field in TABLES.get(options.kind, ()) if options is not None else ():
            if "subgraph" in field.name:
                value = getattr(options, field.name)
                yield from (value,) if field.kind == "number" else value
