"""Networks in float64: what LiteRT computes, but for the rounding of float32."""

from __future__ import annotations

import numpy as np
import pytest

from assay.runtimes.litert import open_litert
from benchmarks.float64 import COMPUTE, Float64
from tests.builder import GraphBuilder

RNG = np.random.default_rng(3)


def weights(graph, name, *shape):
    return graph.constant(name, RNG.uniform(-0.5, 0.5, shape).astype(np.float32))


def network():
    """Every operator of the table, images of odd sizes, both paddings, all activations."""
    graph = GraphBuilder()
    window = {"stride_h": 2, "stride_w": 1, "filter_h": 3, "filter_w": 2}
    x = graph.input("x", (2, 9, 7, 3))
    stride = {"padding": 0, "stride_h": 2, "stride_w": 1, "activation": 3}
    given = [x, weights(graph, "w", 4, 3, 3, 3), weights(graph, "b", 4)]
    y = graph.op("CONV_2D", given, (2, 5, 7, 4), options=stride)
    options = {"padding": 1, "stride_h": 1, "stride_w": 1, "depth_multiplier": 2, "dilation_h": 2}
    given = [y, weights(graph, "dw", 1, 2, 3, 8), weights(graph, "db", 8)]
    y = graph.op("DEPTHWISE_CONV_2D", given, (2, 3, 5, 8), options=options)
    gate = graph.op("LOGISTIC", [graph.op("HARD_SWISH", [y], (2, 3, 5, 8))], (2, 3, 5, 8))
    y = graph.op("MUL", [y, gate], (2, 3, 5, 8))
    a = graph.op("AVERAGE_POOL_2D", [y], (2, 2, 5, 8), options={"padding": 0, **window})
    b = graph.op("MAX_POOL_2D", [y], (2, 2, 5, 8), options={"padding": 0, **window})
    y = graph.op("ADD", [a, b], (2, 2, 5, 8), options={"activation": 1})
    axes = graph.constant("axes", np.array([1, 2], np.int32))
    y = graph.op("MEAN", [y, axes], (2, 8))
    y = graph.op("RESHAPE", [y, graph.constant("shape", np.array([4, 4], np.int32))], (4, 4))
    given = [y, weights(graph, "dense", 5, 4), weights(graph, "bias", 5)]
    y = graph.op("FULLY_CONNECTED", given, (4, 5))
    graph.output(graph.op("SOFTMAX", [y], (4, 5), options={"beta": 1.5}))
    return graph


def test_it_computes_what_litert_computes(tmp_path):
    graph = network()
    assert {operator.name for operator in graph.operators} == COMPUTE.keys()
    path = tmp_path / "net.tflite"
    path.write_bytes(graph.build())
    x = RNG.uniform(-4, 4, (2, 9, 7, 3)).astype(np.float32)
    (found,) = Float64(path)(x)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, open_litert(path, reference=True)(x), rtol=0, atol=1e-6)


def test_an_operator_that_it_lacks(tmp_path):
    graph = GraphBuilder()
    graph.output(graph.op("SIN", [graph.input("x", (3,))], (3,)))
    (tmp_path / "net.tflite").write_bytes(graph.build())
    with pytest.raises(ValueError, match="no SIN in float64"):
        Float64(tmp_path / "net.tflite")
