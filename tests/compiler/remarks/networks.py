"""Small networks that hold one of each heavy operator."""

from __future__ import annotations

import numpy as np

from tests.builder import GraphBuilder, per_axis, per_tensor


def float_network() -> bytes:
    """Convolution, depthwise convolution and dense layer, with what converters put between them."""
    graph = GraphBuilder()
    rng = np.random.default_rng(0)

    def weights(name, *shape):
        return graph.constant(name, rng.normal(size=shape).astype(np.float32))

    x = graph.input("x", (1, 12, 12, 3))
    relu6 = {"activation": "RELU6"}
    y = graph.op(
        "CONV_2D", [x, weights("w", 16, 3, 3, 3), weights("b", 16)], (1, 12, 12, 16), options=relu6
    )
    y = graph.op(
        "DEPTHWISE_CONV_2D",
        [y, weights("d", 1, 3, 3, 16), weights("e", 16)],
        (1, 12, 12, 16),
        options=relu6,
    )
    y = graph.op("RESHAPE", [y, graph.constant("s", np.int32([1, 2304]))], (1, 2304))
    graph.output(graph.op("FULLY_CONNECTED", [y, weights("f", 10, 2304), -1], (1, 10)))
    return graph.build()


def integer_network() -> bytes:
    """The same with int8 tensors."""
    graph = GraphBuilder()
    rng = np.random.default_rng(0)
    q = per_tensor(0.1, 3)

    def weights(name, axis, *shape):
        scales = per_axis([0.01] * shape[axis], axis)
        return graph.constant(name, rng.integers(-127, 128, shape).astype(np.int8), scales)

    def bias(name, count):
        return graph.constant(name, np.zeros(count, np.int32), per_axis([0.001] * count, 0))

    x = graph.input("x", (1, 12, 12, 3), "int8", q)
    y = graph.op(
        "CONV_2D", [x, weights("w", 0, 16, 3, 3, 3), bias("b", 16)], (1, 12, 12, 16), "int8", q
    )
    y = graph.op(
        "DEPTHWISE_CONV_2D",
        [y, weights("d", 3, 1, 3, 3, 16), bias("e", 16)],
        (1, 12, 12, 16),
        "int8",
        q,
    )
    y = graph.op("RESHAPE", [y, graph.constant("s", np.int32([1, 2304]))], (1, 2304), "int8", q)
    f = graph.constant("f", rng.integers(-127, 128, (10, 2304)).astype(np.int8), per_tensor(0.01))
    graph.output(graph.op("FULLY_CONNECTED", [y, f, -1], (1, 10), "int8", q))
    return graph.build()


def dynamic_network() -> bytes:
    """A convolution and a dense layer on FP32 with INT8 weights: a dynamic-range model."""
    graph = GraphBuilder()
    rng = np.random.default_rng(0)

    def weights(name, *shape):
        values = rng.integers(-127, 128, shape).astype(np.int8)
        return graph.constant(name, values, per_axis([0.01] * shape[0], 0))

    x = graph.input("x", (1, 12, 12, 3))
    bias = graph.constant("b", np.zeros(16, np.float32))
    y = graph.op("CONV_2D", [x, weights("w", 16, 3, 3, 3), bias], (1, 12, 12, 16))
    y = graph.op("RESHAPE", [y, graph.constant("s", np.int32([1, 2304]))], (1, 2304))
    graph.output(graph.op("FULLY_CONNECTED", [y, weights("f", 10, 2304), -1], (1, 10)))
    return graph.build()
