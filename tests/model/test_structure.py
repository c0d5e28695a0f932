"""Bytes that are no well-formed FlatBuffer of the schema."""

from __future__ import annotations

import struct
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
import tflite

from tests.model.networks import float_network, sound_graph
from tests.model.outcomes import refusal


def patched(find: bytes, replace: bytes) -> bytes:
    data = float_network()
    assert data.count(find) == 1
    return data.replace(find, replace)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (float_network()[:-100], "outside of the file"),
        (float_network()[:9], "outside of the file"),
        (b"\xff\xff\xff\x7f" + float_network()[4:], "outside of the file"),
        (bytes(4) + float_network()[4:], "offset of a Model is zero"),
        (patched(b"columns", b"col\xffmns"), "UTF-8"),
        (patched(b"columns\0", b"columnsX"), "does not end"),
    ],
)
def test_broken_structure(tmp_path: Path, data: bytes, words: str) -> None:
    assert words in refusal(tmp_path / "net.tflite", data)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ((3, 8, 4, 0), "layout of a Model"),  # a table of slots that ends within its own header
        ((7, 8, 4, 0), "layout of a Model"),  # or in the middle of a slot
        ((8, 3, 0, 0), "layout of a Model"),  # a table without room for where its slots are
        ((8, 8, 6, 0), "Model.version lies outside"),
        ((8, 8, 2, 0), "Model.version lies outside"),
        ((8, 9000, 4, 0), "outside of the file"),
        ((9000, 8, 4, 0), "outside of the file"),
        ((8, 8, 4, 0), "lacks its operator_codes"),
    ],
)
def test_broken_table(tmp_path: Path, header: tuple[int, ...], words: str) -> None:
    """The root at 16, its slots' offsets at 8: their size, the table's size, and two slots."""
    data = struct.pack("<I4s4HiI", 16, b"TFL3", *header, 8, 3)
    assert words in refusal(tmp_path / "net.tflite", data)


def test_enumerations_have_limits(tmp_path: Path) -> None:
    graph = sound_graph()
    graph.operators[0].options = {"padding": 2}
    assert "padding is 2" in refusal(tmp_path / "net.tflite", graph.build())


def test_tables_that_overlap_are_not_walked_for_ever(tmp_path: Path) -> None:
    """One long vector of operators that are all the same one, in many graphs that are all one."""
    builder = flatbuffers.Builder()

    def vector(offset: int, count: int) -> int:
        builder.StartVector(4, count, 4)
        for _ in range(count):
            builder.PrependUOffsetTRelative(offset)
        return int(builder.EndVector())

    numbers = builder.CreateNumpyVector(np.zeros(1, np.int32))
    tflite.OperatorStart(builder)
    operators = vector(tflite.OperatorEnd(builder), 30000)
    tflite.SubGraphStart(builder)
    tflite.SubGraphAddTensors(builder, operators)
    tflite.SubGraphAddInputs(builder, numbers)
    tflite.SubGraphAddOutputs(builder, numbers)
    tflite.SubGraphAddOperators(builder, operators)
    graphs = vector(tflite.SubGraphEnd(builder), 30000)
    empty = vector(0, 0)
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, 3)
    tflite.ModelAddOperatorCodes(builder, empty)
    tflite.ModelAddBuffers(builder, empty)
    tflite.ModelAddSubgraphs(builder, graphs)
    builder.Finish(tflite.ModelEnd(builder), file_identifier=b"TFL3")
    assert "overlap" in refusal(tmp_path / "net.tflite", bytes(builder.Output()))
