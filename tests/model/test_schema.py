"""The table of the schema against the code that the FlatBuffers compiler made for LiteRT."""

from __future__ import annotations

from typing import Any

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated as generated

from assay.model.checks.operands import INPUTS
from assay.model.dtypes import DTYPES
from assay.model.enumerations import BUILTIN_OPERATORS
from assay.model.macs import FILTER_OPERATORS
from assay.model.options import OPTIONS
from assay.model.schema import TABLES, UNIONS, Field
from assay.model.tables import parse

FORMATS = {
    "PrependBoolSlot": "?",
    "PrependInt8Slot": "b",
    "PrependUint8Slot": "B",
    "PrependInt16Slot": "h",
    "PrependInt32Slot": "i",
    "PrependUint32Slot": "I",
    "PrependFloat32Slot": "f",
    "PrependInt64Slot": "q",
    "PrependUint64Slot": "Q",
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


def written_slots(table: str) -> dict[int, tuple[str, Any, int | None]]:
    """Return slot -> how it is written, its default, and the width of an element of a vector."""
    slots = {}
    for name in dir(generated):
        if name.startswith(f"{table}Add"):
            method, arguments = record(getattr(generated, name), 0)
            field = name.removeprefix(f"{table}Add")
            start = getattr(generated, f"{table}Start{field}Vector", None)
            width = record(start, 1)[1][0] if start else None
            slots[arguments[0]] = (method, arguments[2], width)
    return slots


def check(field: Field, method: str, default: Any, element: int | None) -> None:
    if field.kind == "number":
        assert FORMATS[method] == field.format
        assert default == field.default
    else:
        assert method == "PrependUOffsetTRelativeSlot"
        width = {"vector": field.size, "tables": 4}.get(field.kind)
        assert element == width


@pytest.mark.parametrize("table", TABLES)
def test_slots(table: str) -> None:
    fields = TABLES[table]
    assert len(fields) == slot_count(table)
    for slot, written in written_slots(table).items():
        check(fields[slot], *written)


def test_vectors_of_floats() -> None:
    """The generated code writes vectors by their width; only the accessors tell floats."""
    floats = {field.name for field in TABLES["QuantizationParameters"] if field.format == "f"}
    vectors = (field for fields in TABLES.values() for field in fields if field.kind == "vector")
    assert {field.name for field in vectors if field.format == "f"} == floats
    scales = generated.QuantizationParametersT(min=[0.5], max=[1.5], scale=[0.25], zeroPoint=[-7])
    tensor = generated.TensorT(quantization=scales)
    graph = generated.SubGraphT(tensors=[tensor], inputs=[], outputs=[], operators=[])
    model = generated.ModelT(version=3, operatorCodes=[], buffers=[], subgraphs=[graph])
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    found = parse(bytes(builder.Output())).subgraphs[0].tensors[0].quantization
    assert [*found.min, *found.max, *found.scale, *found.zero_point] == [0.5, 1.5, 0.25, -7]


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
    numbers = {name: number for number, name in enumerate(BUILTIN_OPERATORS)}
    assert numbers == {n: v for n, v in vars(generated.BuiltinOperator).items() if n.isupper()}
    assert set(INPUTS) <= set(vars(generated.BuiltinOperator))
    assert set(OPTIONS) <= set(vars(generated.BuiltinOperator))
    assert set(FILTER_OPERATORS) <= set(INPUTS)
