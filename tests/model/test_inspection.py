"""What ``inspect`` tells of single operators, against numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from assay.model.inspection import OperatorFacts, inspect, tallies
from assay.model.reader import read
from tests.builder import GraphBuilder, per_axis, per_tensor
from tests.model.networks import float_network, integer_network

F32, I8, I32, F16 = np.float32, np.int8, np.int32, np.float16


def operators(data: bytes, folder: Path) -> tuple[OperatorFacts, ...]:
    path = folder / "model.tflite"
    path.write_bytes(data)
    return inspect(read(path))


def test_bytes_and_counts_of_a_convolution(tmp_path: Path) -> None:
    graph = GraphBuilder()
    x = graph.input("x", (1, 5, 7, 3), "int8", per_tensor(0.5, 3))
    w = graph.constant("w", np.ones((4, 1, 3, 3), I8), per_axis([0.1, 0.2, 0.3, 0.4], 0))
    b = graph.constant("b", np.ones(4, I32), per_axis([0.05] * 4, 0))
    y = graph.op("CONV_2D", [x, w, b], (1, 5, 7, 4), "int8", per_tensor(0.5), output="layer")
    graph.output(graph.op("ADD", [y, y], (1, 5, 7, 4), "int8", per_tensor(1.0)))
    convolution, addition = operators(graph.build(), tmp_path)
    assert convolution == OperatorFacts(
        index=0,
        name="CONV_2D",
        layer="layer",
        scheme="full-integer per-axis",
        macs=5 * 7 * 4 * 9,
        parameters=4 * 9 + 4,
        weight_bytes=4 * 9 + 4 * 4,
        read_bytes=5 * 7 * 3,
        written_bytes=5 * 7 * 4,
        inputs=("x",),
        outputs=("layer",),
        shapes=((1, 5, 7, 4),),
        sources=(-1,),
    )
    # It reads one tensor, though twice.
    assert (addition.read_bytes, addition.sources) == (140, (0,))


def filtered(activation: str, weights: np.ndarray, quantization: object = None) -> bytes:
    graph = GraphBuilder()
    scale = per_tensor(0.5) if activation.startswith(("int", "uint")) else None
    x = graph.input("x", (1, 4), activation, scale)
    w = graph.constant("w", weights, quantization)
    graph.output(graph.op("FULLY_CONNECTED", [x, w, -1], (1, 2), activation, scale))
    return graph.build()


@pytest.mark.parametrize(
    ("data", "scheme"),
    [
        (filtered("float32", np.ones((2, 4), F32)), "none"),
        (filtered("float32", np.ones((2, 4), I8), per_tensor(0.1)), "dynamic-range"),
        (filtered("float32", np.ones((2, 4), F16)), "float16"),
        (filtered("int8", np.ones((2, 4), I8), per_tensor(0.1)), "full-integer per-tensor"),
        (filtered("int8", np.ones((2, 4), I8), per_axis([0.1, 0.2], 0)), "full-integer per-axis"),
        (filtered("uint8", np.ones((2, 4), np.uint8), per_tensor(0.1)), "full-integer per-tensor"),
        (filtered("int16", np.ones((2, 4), I8), per_tensor(0.1)), "16x8"),
        (filtered("int16", np.ones((2, 4), F32)), "mixed"),
    ],
)
def test_schemes(tmp_path: Path, data: bytes, scheme: str) -> None:
    assert [each.scheme for each in operators(data, tmp_path)] == [scheme]


def test_integers_that_stand_for_themselves_are_not_quantized(tmp_path: Path) -> None:
    found = {each.name: each.scheme for each in operators(float_network(), tmp_path)}
    assert set(found.values()) == {"none"}
    assert {"SHAPE", "STRIDED_SLICE", "PACK", "ARG_MAX"} <= set(found)


def test_sums_hold_every_operator_once(tmp_path: Path) -> None:
    found = operators(integer_network(), tmp_path)
    sums = tallies(found)
    assert sum(each.count for each in sums) == len(found)
    assert sum(each.macs for each in sums) == sum(each.macs for each in found)
    assert sum(each.weight_bytes for each in sums) == sum(each.weight_bytes for each in found)
    assert [each.macs for each in sums] == sorted((each.macs for each in sums), reverse=True)


def test_parts_of_a_split_come_from_it(tmp_path: Path) -> None:
    by_name = {each.name: each for each in operators(float_network(), tmp_path)}
    split, difference = by_name["SPLIT"], by_name["SUB"]
    assert split.outputs == ("left", "right")
    assert difference.sources == (split.index, split.index)
