"""The table of the schema against the code that the FlatBuffers compiler made for LiteRT."""

from __future__ import annotations

from typing import Any

import pytest
from ai_edge_litert import schema_py_generated as generated

from assay.model.checks.operands import INPUTS
from assay.model.dtypes import DTYPES
from assay.model.macs import FILTER_OPERATORS
from assay.model.options import OPTIONS
from assay.model.schema import TABLES, UNIONS, Field

WIDTHS = {
    "PrependBoolSlot": 1,
    "PrependInt8Slot": 1,
    "PrependUint8Slot": 1,
    "PrependInt16Slot": 2,
    "PrependInt32Slot": 4,
    "PrependUint32Slot": 4,
    "PrependFloat32Slot": 4,
    "PrependInt64Slot": 8,
    "PrependUint64Slot": 8,
}


class Recorder:
    """Stands in for a FlatBuffers builder and keeps what generated functions ask of it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, method: str) -> Any:
        return lambda *arguments: self.calls.append((method, arguments))


def record(function: Any, *arguments: Any) -> tuple[str, tuple[Any, ...]]:
    recorder = Recorder()
    function(recorder, *arguments)
    return recorder.calls[0]


def slot_count(table: str) -> int:
    return int(record(getattr(generated, f"{table}Start"))[1][0])


def written_slots(table: str) -> dict[int, tuple[str, int | None]]:
    """Return slot -> how it is written, and the width of an element where it is a vector."""
    slots = {}
    for name in dir(generated):
        if name.startswith(f"{table}Add"):
            method, arguments = record(getattr(generated, name), 0)
            field = name.removeprefix(f"{table}Add")
            start = getattr(generated, f"{table}Start{field}Vector", None)
            slots[arguments[0]] = (method, record(start, 1)[1][0] if start else None)
    return slots


def check(field: Field, method: str, element: int | None) -> None:
    if field.kind == "number":
        assert WIDTHS[method] == field.size
    else:
        assert method == "PrependUOffsetTRelativeSlot"
        width = {"vector": field.size, "tables": 4}.get(field.kind)
        assert element == width


@pytest.mark.parametrize("table", TABLES)
def test_slots(table: str) -> None:
    fields = TABLES[table]
    assert len(fields) == slot_count(table)
    for slot, (method, element) in written_slots(table).items():
        check(fields[slot], method, element)


@pytest.mark.parametrize("union", UNIONS)
def test_unions(union: str) -> None:
    members = {
        name: code
        for name, code in vars(getattr(generated, union)).items()
        if isinstance(code, int)
    }
    assert {code: name for name, code in members.items() if code} == UNIONS[union]


def test_tables_that_are_left_out_are_empty() -> None:
    members = {name for union in UNIONS.values() for name in union.values()}
    assert {name for name in members - set(TABLES) if slot_count(name)} == set()


def test_no_table_contains_itself() -> None:
    def depth(table: str) -> int:
        below = [f.table for f in TABLES.get(table, ()) if f.kind in ("tables", "table")]
        for field in TABLES.get(table, ()):
            if field.kind == "union":
                below.extend(UNIONS[field.table].values())
        return 1 + max((depth(name) for name in below), default=0)

    assert depth("Model") < 10


def test_tensor_types() -> None:
    types = {
        code: name.lower() for name, code in vars(generated.TensorType).items() if name.isupper()
    }
    assert dict(enumerate(DTYPES)) == types


def test_names_of_operators() -> None:
    assert set(INPUTS) <= set(vars(generated.BuiltinOperator))
    assert set(OPTIONS) <= set(vars(generated.BuiltinOperator))
    assert set(FILTER_OPERATORS) <= set(INPUTS)
