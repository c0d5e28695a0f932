"""Multiply-accumulates and parameters against numbers worked out by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from assay.model.facts import Model, Operator
from tests.builder import GraphBuilder, per_axis, per_tensor

Reader = Callable[..., Model]
Shape = tuple[int, ...]


def filtered(
    read_graph: Reader, name: str, x: Shape, w: Shape, y: Shape, **options: object
) -> Operator:
    graph = GraphBuilder()
    inputs = [graph.input("x", x), graph.constant("w", np.zeros(w, np.float32))]
    graph.output(graph.op(name, inputs, y, options=options))
    return read_graph(graph).operators[0]


@pytest.mark.parametrize(
    ("name", "x", "w", "y", "macs"),
    [
        ("CONV_2D", (1, 9, 9, 4), (6, 3, 5, 4), (1, 9, 9, 6), 9 * 9 * 6 * 3 * 5 * 4),
        ("CONV_2D", (2, 5, 5, 8), (6, 1, 1, 4), (2, 5, 5, 6), 2 * 5 * 5 * 6 * 4),  # two groups
        ("DEPTHWISE_CONV_2D", (1, 9, 9, 4), (1, 3, 3, 8), (1, 9, 9, 8), 9 * 9 * 8 * 3 * 3),
        ("FULLY_CONNECTED", (7, 10), (3, 10), (7, 3), 7 * 3 * 10),
        ("FULLY_CONNECTED", (1, 4, 10), (3, 10), (4, 3), 4 * 3 * 10),
        ("CONV_3D", (1, 4, 4, 4, 2), (3, 3, 3, 2, 5), (1, 4, 4, 4, 5), 4**3 * 5 * 3**3 * 2),
        ("BATCH_MATMUL", (2, 3, 4), (2, 4, 5), (2, 3, 5), 2 * 3 * 5 * 4),
        ("MUL", (1, 4), (1, 4), (1, 4), 0),
    ],
)
def test_macs(read_graph: Reader, name: str, x: Shape, w: Shape, y: Shape, macs: int) -> None:
    assert filtered(read_graph, name, x, w, y).macs == macs


def test_transposed_matmul(read_graph: Reader) -> None:
    operator = filtered(read_graph, "BATCH_MATMUL", (2, 4, 3), (2, 4, 5), (2, 3, 5), adj_x=True)
    assert operator.macs == 2 * 3 * 5 * 4


def test_transposed_convolution_counts_its_input(read_graph: Reader) -> None:
    graph = GraphBuilder()
    shape = graph.constant("shape", np.int32([1, 8, 8, 3]))
    w = graph.constant("w", np.zeros((3, 2, 2, 5), np.float32))
    inputs = [shape, w, graph.input("x", (1, 4, 4, 5))]
    options = {"stride_h": 2, "stride_w": 2}
    graph.output(graph.op("TRANSPOSE_CONV", inputs, (1, 8, 8, 3), options=options))
    operator = read_graph(graph).operators[0]
    assert operator.macs == 4 * 4 * 5 * 2 * 2 * 3
    assert operator.parameters == 3 * 2 * 2 * 5


def test_transposed_convolution_of_volumes(read_graph: Reader) -> None:
    graph = GraphBuilder()
    shape = graph.constant("shape", np.int32([1, 4, 4, 4, 3]))
    w = graph.constant("w", np.zeros((2, 2, 2, 3, 5), np.float32))
    inputs = [shape, w, graph.input("x", (1, 2, 2, 2, 5))]
    graph.output(graph.op("CONV_3D_TRANSPOSE", inputs, (1, 4, 4, 4, 3)))
    assert read_graph(graph).macs == 2**3 * 5 * 2**3 * 3


def test_matmul_of_two_activations_has_no_parameters(read_graph: Reader) -> None:
    graph = GraphBuilder()
    inputs = [graph.input("a", (4, 6)), graph.input("b", (6, 5))]
    graph.output(graph.op("BATCH_MATMUL", inputs, (4, 5)))
    model = read_graph(graph)
    assert (model.macs, model.parameters) == (4 * 6 * 5, 0)


def test_shared_weights_count_once_for_the_model(read_graph: Reader) -> None:
    graph = GraphBuilder()
    x = graph.input("x", (1, 4))
    w = graph.constant("w", np.zeros((4, 4), np.float32))
    for _ in range(3):
        x = graph.op("FULLY_CONNECTED", [x, w, -1], (1, 4))
    graph.output(x)
    model = read_graph(graph)
    assert [operator.parameters for operator in model.operators] == [16, 16, 16]
    assert (model.parameters, model.macs) == (16, 48)


def test_unpacked_weights_belong_to_their_user(read_graph: Reader) -> None:
    graph = GraphBuilder()
    x = graph.input("x", (1, 4))
    half = graph.constant("half", np.zeros((2, 4), np.float16))
    w = graph.op("DEQUANTIZE", [half], (2, 4))
    graph.output(graph.op("FULLY_CONNECTED", [x, w, -1], (1, 2)))
    unpack, dense = read_graph(graph).operators
    assert (unpack.parameters, dense.parameters, dense.weights) == (0, 8, (half,))


def test_bias_counts_and_indices_do_not(read_graph: Reader) -> None:
    graph = GraphBuilder()
    q = per_tensor(0.1)
    x = graph.input("x", (1, 2, 2, 3), "int8", q)
    w = graph.constant("w", np.zeros((4, 1, 1, 3), np.int8), per_axis([0.1] * 4, 0))
    b = graph.constant("b", np.zeros(4, np.int32))
    y = graph.op("CONV_2D", [x, w, b], (1, 2, 2, 4), "int8", q)
    y = graph.op("RESHAPE", [y, graph.constant("shape", np.int32([4, 4]))], (4, 4), "int8", q)
    graph.output(graph.op("GATHER", [y, graph.constant("rows", np.int32([0]))], (1, 4), "int8", q))
    assert [operator.parameters for operator in read_graph(graph).operators] == [4 * 3 + 4, 0, 0]
