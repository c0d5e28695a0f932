from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from assay.model.facts import Model
from assay.model.spec import Quantization
from tests.builder import GraphBuilder, per_tensor

Reader = Callable[..., Model]
Q = per_tensor(0.1)


def quantization(dtype: str) -> Quantization | None:
    return None if dtype.startswith("float") else Q


def dense(graph: GraphBuilder, x: int, activation: str, weights: str) -> int:
    w = graph.constant("w", np.zeros((4, 4), weights), quantization(weights))
    q = quantization(activation)
    return graph.op("FULLY_CONNECTED", [x, w, -1], (1, 4), activation, q)


def network(*layers: tuple[str, str]) -> GraphBuilder:
    graph = GraphBuilder()
    x = graph.input("x", (1, 4), layers[0][0], quantization(layers[0][0]))
    for activation, weights in layers:
        x = dense(graph, x, activation, weights)
    graph.output(x)
    return graph


@pytest.mark.parametrize(
    ("layers", "precision"),
    [
        ([("float32", "float32")], "fp32"),
        ([("int8", "int8")], "int8"),
        ([("uint8", "uint8")], "uint8"),
        ([("int16", "int8")], "int16x8"),
        ([("float32", "int8")], "dynamic-range"),
        ([("float16", "float16")], "float16"),
        ([("float32", "int8"), ("float32", "float32")], "dynamic-range"),
        ([("int8", "int8"), ("float32", "float32")], "mixed"),
        ([("float64", "float64")], "mixed"),
    ],
)
def test_types_of_activations_and_weights(
    read_graph: Reader, layers: list[tuple[str, str]], precision: str
) -> None:
    assert read_graph(network(*layers)).precision == precision


@pytest.mark.parametrize(
    ("stored", "precision"), [("float16", "float16"), ("int8", "dynamic-range")]
)
def test_weights_count_as_they_are_stored(read_graph: Reader, stored: str, precision: str) -> None:
    graph = GraphBuilder()
    x = graph.input("x", (1, 4))
    packed = graph.constant("w", np.zeros((4, 4), stored), quantization(stored))
    w = graph.op("DEQUANTIZE", [packed], (4, 4))
    graph.output(graph.op("FULLY_CONNECTED", [x, w, -1], (1, 4)))
    assert read_graph(graph).precision == precision


def test_float_border_of_an_integer_model(read_graph: Reader) -> None:
    graph = GraphBuilder()
    q = graph.op("QUANTIZE", [graph.input("x", (1, 4))], (1, 4), "int8", Q)
    y = graph.op("DEQUANTIZE", [dense(graph, q, "int8", "int8")], (1, 4))
    graph.output(graph.op("SOFTMAX", [y], (1, 4)))
    assert read_graph(graph).precision == "int8"


def test_graph_without_multiply_accumulates(read_graph: Reader) -> None:
    graph = GraphBuilder()
    x = graph.op("RESHAPE", [graph.input("x", (1, 4), "int8", Q)], (4, 1), "int8", Q)
    graph.output(x)
    assert read_graph(graph).precision == "int8"


def test_conditions_and_indices_do_not_decide(read_graph: Reader) -> None:
    graph = GraphBuilder()
    condition = graph.input("condition", (4,), "bool")
    x = graph.input("x", (4,))
    graph.output(graph.op("SELECT_V2", [condition, x, x], (4,)))
    assert read_graph(graph).precision == "fp32"
