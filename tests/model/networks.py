"""Small networks with many kinds of operators, as files."""

from __future__ import annotations

import numpy as np

from tests.builder import GraphBuilder, build_model, per_axis, per_tensor

F32, I32, I8 = np.float32, np.int32, np.int8


def float_network() -> bytes:
    """A float network whose batch is computed at run time, as converters write it."""
    graph = GraphBuilder()
    x = graph.input("x", (1, 8, 8, 4))
    w = graph.constant("w", np.ones((4, 3, 3, 4), F32))
    b = graph.constant("b", np.zeros(4, F32))
    halving = {"stride_h": 2, "stride_w": 2}
    y = graph.op("CONV_2D", [x, w, b], (1, 4, 4, 4), options=halving)
    y = graph.op(
        "DEPTHWISE_CONV_2D", [y, graph.constant("d", np.ones((1, 3, 3, 4), F32)), b], (1, 4, 4, 4)
    )
    y = graph.op("ADD", [y, graph.constant("c", F32(1))], (1, 4, 4, 4))
    z = graph.op(
        "MAX_POOL_2D", [y], (1, 2, 2, 4), options={**halving, "filter_h": 2, "filter_w": 2}
    )
    z = graph.op("RESIZE_BILINEAR", [z, graph.constant("size", I32([4, 4]))], (1, 4, 4, 4))
    z = graph.op("CONCATENATION", [z, y], (1, 4, 4, 8), options={"axis": 3})
    z = graph.op(
        "SLICE",
        [
            z,
            graph.constant("begin", I32([0, 0, 1, 0])),
            graph.constant("length", I32([1, 4, 2, 8])),
        ],
        (1, 4, 2, 8),
    )
    shape = graph.op("SHAPE", [z], (4,), "int32")
    ends = [graph.constant(name, I32([i])) for i, name in enumerate(("from", "to"))]
    batch = graph.op(
        "STRIDED_SLICE", [shape, *ends, ends[1]], (), "int32", options={"shrink_axis_mask": 1}
    )
    rows = graph.op(
        "PACK",
        [batch, graph.constant("columns", I32(64))],
        (2,),
        "int32",
        options={"values_count": 2},
    )
    z = graph.op("RESHAPE", [z, rows], (1, 64))
    z = graph.op("FULLY_CONNECTED", [z, graph.constant("fw", np.ones((6, 64), F32)), -1], (1, 6))
    halves = [graph.tensor(name, (1, 3)) for name in ("left", "right")]
    graph.multi_op("SPLIT", [graph.constant("axis", I32(1)), z], halves)
    s = graph.op("SOFTMAX", [graph.op("SUB", halves, (1, 3))], (1, 3))
    graph.output(s, graph.op("ARG_MAX", [s, graph.constant("last", I32(1))], (1,), "int64"))
    graph.signature("serving_default", {"x": x}, {"s": s})
    return graph.build(metadata={"min_runtime_version": b"1.5.0" + bytes(11)})


def integer_network() -> bytes:
    """An int8 network with per-axis weights."""
    q = per_tensor(0.1, 3)
    bias = per_axis([0.01] * 4, 0)
    graph = GraphBuilder()
    zeros = np.zeros(4, I32)
    x = graph.input("x", (1, 8, 8, 4), "int8", q)
    w = graph.constant("w", np.ones((4, 3, 3, 4), I8), per_axis([0.1] * 4, 0))
    y = graph.op("CONV_2D", [x, w, graph.constant("b", zeros, bias)], (1, 8, 8, 4), "int8", q)
    d = graph.constant("d", np.ones((1, 3, 3, 4), I8), per_axis([0.1] * 4, 3))
    y = graph.op(
        "DEPTHWISE_CONV_2D", [y, d, graph.constant("e", zeros, bias)], (1, 8, 8, 4), "int8", q
    )
    z = graph.op("LOGISTIC", [y], (1, 8, 8, 4), "int8", per_tensor(1 / 256, -128))
    z = graph.op("ADD", [y, z], (1, 8, 8, 4), "int8", q)
    z = graph.op("CONCATENATION", [z, y], (1, 8, 8, 8), "int8", q, options={"axis": 3})
    z = graph.op("MEAN", [z, graph.constant("axes", I32([1, 2]))], (1, 8), "int8", q)
    f = graph.constant("f", np.ones((3, 8), I8), per_tensor(0.2))
    z = graph.op("FULLY_CONNECTED", [z, f, -1], (1, 3), "int8", q)
    z = graph.op("SOFTMAX", [z], (1, 3), "int8", per_tensor(1 / 256, -128))
    graph.output(graph.op("DEQUANTIZE", [z], (1, 3)))
    return graph.build()


def control_flow() -> bytes:
    """A graph that runs others: one of two by a condition, then one until another says stop."""
    main = GraphBuilder()
    x, condition = main.input("x", (2,)), main.input("condition", (1,), "bool")
    chosen, final = main.tensor("chosen", (2,)), main.tensor("final", (2,))
    main.multi_op("IF", [condition, x], [chosen])
    loop = {"cond_subgraph_index": 3, "body_subgraph_index": 1}
    main.multi_op("WHILE", [chosen], [final], options=loop)
    main.output(final)
    stop = GraphBuilder("stop")
    value = stop.input("value", (2,))
    top = stop.op("REDUCE_MAX", [value, stop.constant("axis", I32([0]))], ())
    stop.output(stop.op("LESS", [top, stop.constant("ten", F32(10))], (), "bool"))
    return build_model(main, _step("then", "ADD"), _step("else", "MUL"), stop)


def _step(name: str, operator: str) -> GraphBuilder:
    graph = GraphBuilder(name)
    value = graph.input("value", (2,))
    graph.output(graph.op(operator, [value, graph.constant("one", F32(1))], (2,)))
    return graph


def sound_graph() -> GraphBuilder:
    """An int8 graph to break. Tensors: 0 x, 1 w, 2 b, 3 conv_2d_0, 4 axes, 5 mean_1."""
    q = per_tensor(0.5, 3)
    graph = GraphBuilder()
    x = graph.input("x", (1, 4, 4, 2), "int8", q)
    w = graph.constant("w", np.ones((3, 1, 1, 2), I8), per_axis([0.1, 0.2, 0.3], 0))
    b = graph.constant("b", np.ones(3, I32), per_axis([0.05, 0.1, 0.15], 0))
    y = graph.op("CONV_2D", [x, w, b], (1, 4, 4, 3), "int8", q)
    graph.output(graph.op("MEAN", [y, graph.constant("axes", I32([1, 2]))], (1, 3), "int8", q))
    graph.signature("serving_default", {"image": x}, {"scores": 5})
    return graph
