from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from assay.model.facts import Model
from assay.model.reader import read
from assay.model.spec import Argument, Quantization, TensorSpec
from tests.builder import GraphBuilder, per_axis, per_tensor
from tests.model.networks import control_flow

Reader = Callable[..., Model]


def convolution() -> GraphBuilder:
    graph = GraphBuilder()
    x = graph.input("x", (1, 8, 8, 3), shape_signature=(-1, 8, 8, 3))
    w = graph.constant("w", np.zeros((4, 3, 3, 3), np.float32))
    b = graph.constant("b", np.zeros(4, np.float32))
    options = {"stride_h": 2, "stride_w": 2, "activation": "RELU6"}
    shape, signature = (1, 4, 4, 4), (-1, 4, 4, 4)
    out = graph.op(
        "CONV_2D", [x, w, b], shape, output="y", options=options, shape_signature=signature
    )
    graph.output(out)
    graph.signature("serving_default", {"image": x}, {"score": out})
    return graph


def test_facts_of_the_file(read_graph: Reader, tmp_path: Path) -> None:
    model = read_graph(convolution(), description="a test", metadata={"notes": b"\1\2"})
    data = (tmp_path / "net.tflite").read_bytes()
    assert model.path == tmp_path / "net.tflite"
    assert model.name == "net"
    assert model.sha256 == hashlib.sha256(data).hexdigest()
    assert model.size_bytes == len(data)
    assert (model.format, model.version, model.description) == ("tflite", 3, "a test")
    assert model.metadata == ("notes",)
    assert model.subgraphs == 1
    assert model.precision == "fp32"


def test_border_of_the_model(read_graph: Reader) -> None:
    model = read_graph(convolution())
    image, score = Argument("serving_default", "image"), Argument("serving_default", "score")
    assert model.inputs == (TensorSpec("x", (-1, 8, 8, 3), "float32", arguments=(image,)),)
    assert model.outputs == (TensorSpec("y", (-1, 4, 4, 4), "float32", arguments=(score,)),)
    assert (model.input_indices, model.output_indices) == ((0,), (3,))
    [signature] = model.signatures
    assert signature.key == "serving_default"
    assert signature.inputs == {"image": 0}
    assert signature.outputs == {"score": 3}


def test_facts_of_an_operator(read_graph: Reader) -> None:
    model = read_graph(convolution())
    [operator] = model.operators
    assert (operator.index, operator.name, operator.layer) == (0, "CONV_2D", "y")
    assert (operator.inputs, operator.outputs) == ((0, 1, 2), (3,))
    assert operator.attributes == {
        "padding": "SAME",
        "stride_h": 2,
        "stride_w": 2,
        "dilation_h": 1,
        "dilation_w": 1,
        "activation": "RELU6",
    }
    assert operator.weights == (1, 2)
    assert operator.parameters == 4 * 3 * 3 * 3 + 4
    assert operator.macs == 4 * 4 * 4 * 3 * 3 * 3


def test_facts_of_tensors(read_graph: Reader) -> None:
    x, w, _, y = read_graph(convolution()).tensors
    assert (x.shape, x.static_shape, x.is_constant) == ((-1, 8, 8, 3), (1, 8, 8, 3), False)
    assert x.size_bytes == 8 * 8 * 3 * 4
    assert (w.name, w.shape, w.is_constant, w.size_bytes) == ("w", (4, 3, 3, 3), True, 108 * 4)
    assert y.spec == TensorSpec("y", (-1, 4, 4, 4), "float32")


def test_quantization_per_tensor_and_per_axis(read_graph: Reader) -> None:
    graph = GraphBuilder()
    x = graph.input("x", (1, 4), "int8", per_tensor(0.5, -3))
    w = graph.constant("w", np.zeros((2, 4), np.int8), per_axis([0.25, 0.125], 0))
    graph.output(graph.op("FULLY_CONNECTED", [x, w, -1], (1, 2), "int8", per_tensor(1.0, 7)))
    model = read_graph(graph)
    assert model.inputs[0].quantization == Quantization((0.5,), (-3,))
    assert model.tensors[w].quantization == Quantization((0.25, 0.125), (0, 0), axis=0)
    assert model.outputs[0].quantization == Quantization((1.0,), (7,))
    assert model.operators[0].inputs == (0, 1, -1)


def test_float_tensors_are_never_quantized(read_graph: Reader) -> None:
    graph = GraphBuilder()
    graph.output(graph.op("RELU", [graph.input("x", (4,), "float32", per_tensor(0.5))], (4,)))
    assert read_graph(graph).inputs[0].quantization is None


def test_operands_that_are_attributes(read_graph: Reader) -> None:
    graph = GraphBuilder()
    x = graph.input("x", (1, 4, 6, 2))
    mean = graph.op("MEAN", [x, graph.constant("axis", np.int32([1, 2]))], (1, 2))
    pad = graph.constant("pad", np.int32([[0, 0], [1, 2]]))
    graph.output(graph.op("PAD", [mean, pad], (1, 5)))
    first, second = read_graph(graph).operators
    assert first.attributes == {"keep_dims": False, "axis": (1, 2)}
    assert second.attributes == {"paddings": (0, 0, 1, 2)}
    assert first.parameters == second.parameters == 0


def test_custom_operators_keep_their_code(read_graph: Reader) -> None:
    graph = GraphBuilder()
    x = graph.input("x", (3,))
    graph.output(graph.op("CUSTOM:Swizzle", [graph.op("RELU", [x], (3,))], (3,)))
    model = read_graph(graph)
    assert [operator.name for operator in model.operators] == ["RELU", "CUSTOM:Swizzle"]
    assert model.op_counts == {"RELU": 1, "CUSTOM:Swizzle": 1}


def test_operator_numbers_that_take_more_than_a_byte(read_graph: Reader) -> None:
    graph = GraphBuilder()
    shape = graph.constant("shape", np.int32([2, 3]))
    x = graph.op("BROADCAST_TO", [graph.input("x", (3,)), shape], (2, 3))  # number 130
    graph.output(graph.op("RELU", [x], (2, 3)))
    assert [op.name for op in read_graph(graph).operators] == ["BROADCAST_TO", "RELU"]


@pytest.mark.parametrize("dtype", ["string", "resource", "bool", "int4", "bfloat16", "complex64"])
def test_unusual_types_have_names(read_graph: Reader, dtype: str) -> None:
    graph = GraphBuilder()
    graph.output(graph.op("CUSTOM:Any", [graph.input("x", (3,), dtype)], (3,), dtype))
    model = read_graph(graph)
    assert model.inputs[0].dtype == dtype
    assert model.tensors[0].size_bytes == {
        "bool": 3,
        "int4": 2,
        "bfloat16": 6,
        "complex64": 24,
    }.get(dtype, 0)
    assert model.precision == "mixed"


def test_a_constant_without_elements_is_an_attribute(read_graph: Reader) -> None:
    graph = GraphBuilder()
    shape = graph.constant("shape", np.zeros(0, np.int32))
    graph.output(graph.op("RESHAPE", [graph.input("x", (1,)), shape], ()))
    model = read_graph(graph)
    assert model.tensors[shape].is_constant
    assert model.operators[0].attributes["new_shape"] == ()
    assert model.outputs[0].shape == ()


def test_dimensions_to_squeeze(read_graph: Reader) -> None:
    graph = GraphBuilder()
    x = graph.input("x", (1, 4, 1))
    graph.output(graph.op("SQUEEZE", [x], (4,), options={"squeeze_dims": (0, 2)}))
    assert read_graph(graph).operators[0].attributes == {"squeeze_dims": (0, 2)}


def test_operands_known_only_at_run_time_are_no_attributes(read_graph: Reader) -> None:
    graph = GraphBuilder()
    x, shape = graph.input("x", (4,)), graph.input("shape", (2,), "int32")
    graph.output(graph.op("RESHAPE", [x, shape], (2, 2)))
    assert read_graph(graph).operators[0].attributes == {}


def test_long_operands_are_no_attributes(read_graph: Reader) -> None:
    graph = GraphBuilder()
    sizes = graph.constant("sizes", np.ones(65, np.int32))
    parts = [graph.tensor(f"part{i}", (1,)) for i in range(65)]
    axis = graph.constant("axis", np.int32(0))
    options = {"num_splits": 65}
    graph.multi_op("SPLIT_V", [graph.input("x", (65,)), sizes, axis], parts, options=options)
    graph.output(*parts)
    assert read_graph(graph).operators[0].attributes == {"num_splits": 65, "axis": (0,)}


def test_operators_without_options_have_no_attributes(read_graph: Reader) -> None:
    graph = GraphBuilder()
    graph.output(graph.op("LOGISTIC", [graph.input("x", (2,))], (2,)))
    assert read_graph(graph).operators[0].attributes == {}


def test_other_graphs_are_only_counted(tmp_path: Path) -> None:
    path = tmp_path / "flow.tflite"
    path.write_bytes(control_flow())
    model = read(path)
    assert model.subgraphs == 4
    assert model.op_counts == {"IF": 1, "WHILE": 1}
