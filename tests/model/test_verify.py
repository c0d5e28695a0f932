"""Each way in which a well-formed file can make no sense, and what the refusal says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from assay.model.facts import Model
from assay.model.reader import read
from assay.model.spec import Quantization
from tests.builder import GraphBuilder, build_model, per_axis, per_tensor
from tests.model.networks import sound_graph
from tests.model.outcomes import refusal

Change = Callable[[GraphBuilder], object]


def test_the_sound_graph_is_sound(tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(sound_graph().build())
    assert isinstance(read(tmp_path / "net.tflite"), Model)


def set_tensor(index: int, **facts: object) -> Change:
    return lambda graph: [setattr(graph.tensors[index], *fact) for fact in facts.items()]


def set_operator(index: int, **facts: object) -> Change:
    return lambda graph: [setattr(graph.operators[index], *fact) for fact in facts.items()]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        # tensors
        (set_tensor(3, shape=(1, -4, 4, 3)), "impossible shape"),
        (set_tensor(3, shape=(65536, 65536, 1, 3)), "impossible shape"),
        (set_tensor(3, shape=(1,) * 65), "65 dimensions"),
        (set_tensor(0, shape_signature=(-1, 4, 4)), "declares"),
        (set_tensor(0, shape_signature=(-1, 4, 4, 3)), "declares"),
        (set_tensor(0, shape_signature=(-2, 4, 4, 2)), "declares"),
        (set_tensor(1, data=b"\1" * 5), "takes 6 bytes, but the file holds 5"),
        (set_tensor(2, dtype="int64"), "takes 24 bytes, but the file holds 12"),
        (set_tensor(1, variable=True), "constant and a variable"),
        # quantization
        (set_tensor(0, quantization=per_tensor(0.0)), "scale"),
        (set_tensor(0, quantization=per_tensor(-0.5)), "scale"),
        (set_tensor(0, quantization=per_tensor(float("nan"))), "scale"),
        (set_tensor(0, quantization=per_tensor(float("inf"))), "scale"),
        (set_tensor(0, quantization=per_tensor(0.5, 200)), "zero point that int8 cannot hold"),
        (set_tensor(2, quantization=per_tensor(0.5, 1)), "zero point that int32 cannot hold"),
        (set_tensor(0, quantization=Quantization((0.5,), (1, 2))), "1 scales, but 2 zero points"),
        (set_tensor(0, quantization=Quantization((0.5,), ())), "1 scales, but 0 zero points"),
        (set_tensor(1, quantization=per_axis([0.1, 0.2], 0)), "2 scales for the 3 indices"),
        (set_tensor(1, quantization=per_axis([0.1] * 3, 4)), "along dimension 4 of 4"),
        (set_tensor(1, quantization=per_axis([0.1] * 3, -1)), "along dimension -1"),
        (set_tensor(3, quantization=None), "lacks its scale"),
        # operators
        (set_operator(0, inputs=[0, 1, 99]), "reads a tensor that does not exist"),
        (set_operator(0, inputs=[0, 1, -2]), "reads a tensor that does not exist"),
        (set_operator(0, outputs=[-1]), "writes a tensor that does not exist"),
        (set_operator(0, outputs=[6]), "writes a tensor that does not exist"),
        (set_operator(0, inputs=[0, -1, 2]), "lacks its input 1"),
        (set_operator(0, inputs=[0]), "has 1 inputs instead of 2 to 3"),
        (set_operator(0, outputs=[3, 5]), "has 2 outputs instead of 1"),
        (set_operator(1, inputs=[3, -1]), "lacks its input 1"),
        (set_operator(0, name="CUSTOM:"), "without a name"),
        # order
        (lambda graph: graph.operators.reverse(), "before it has a value"),
        (set_operator(0, outputs=[5]), "before it has a value"),
        (set_operator(1, outputs=[3]), "which has a value"),
        (set_operator(1, outputs=[4]), "which has a value"),
        (lambda graph: graph.operators.pop(), "never written"),
        # border of the graph
        (lambda graph: graph.inputs.clear(), "lacks inputs or outputs"),
        (lambda graph: graph.outputs.clear(), "lacks inputs or outputs"),
        (lambda graph: graph.inputs.append(0), "the same tensor"),
        (lambda graph: graph.inputs.append(1), "an input of the graph and a constant"),
        (lambda graph: graph.inputs.append(-1), "does not exist"),
        (lambda graph: graph.outputs.append(6), "does not exist"),
        # signatures
        (lambda graph: graph.signature("serving_default", {}, {}), "two signatures"),
        (lambda graph: graph.signature("other", {"image": 3}, {}), "'other'"),
        (lambda graph: graph.signature("other", {}, {"scores": 99}), "'other'"),
    ],
)
def test_nonsense_is_refused(tmp_path: Path, change: Change, words: str) -> None:
    graph = sound_graph()
    change(graph)
    assert words in refusal(tmp_path / "net.tflite", graph.build())


@pytest.mark.parametrize(
    ("name", "scale", "words"),
    [
        ("ADD", 0.25, None),
        ("SUB", 0.5 / 2**18, None),
        ("ADD", 0.5 / 2**19, "takes values of scale 0.5 to a scale of 9.54e-07"),
        ("SUB", 1e-9, "to a scale of 1e-09"),
        ("SQUARED_DIFFERENCE", 0.25 / 2**11, None),
        ("SQUARED_DIFFERENCE", 0.25 / 2**12, "to a scale of 6.1e-05"),
    ],
)
def test_sums_need_scales_of_one_order(
    tmp_path: Path, name: str, scale: float, words: str | None
) -> None:
    graph = GraphBuilder()
    x = graph.input("x", (4,), "int8", per_tensor(0.5))
    graph.output(graph.op(name, [x, x], (4,), "int8", per_tensor(scale)))
    path = tmp_path / "net.tflite"
    if words is None:
        path.write_bytes(graph.build())
        assert read(path).op_counts == {name: 1}
    else:
        assert words in refusal(path, graph.build())


@pytest.mark.parametrize(
    ("name", "dtype", "sound"),
    [
        ("ADD", "int8", False),
        ("SUB", "int16", False),
        ("ADD", "int16", True),
        ("ABS", "int8", True),
    ],
)
def test_who_needs_a_scale(tmp_path: Path, name: str, dtype: str, sound: bool) -> None:
    graph = GraphBuilder()
    x = graph.input("x", (4,), dtype)
    graph.output(graph.op(name, [x] if name == "ABS" else [x, x], (4,), dtype))
    path = tmp_path / "net.tflite"
    if sound:
        path.write_bytes(graph.build())
        assert read(path).op_counts == {name: 1}
    else:
        assert "lacks its scale" in refusal(path, graph.build())


def test_only_filters_have_several_scales(tmp_path: Path) -> None:
    graph = GraphBuilder()
    x = graph.input("x", (3, 4), "int8", per_tensor(0.5))
    c = graph.constant("c", np.zeros((3, 4), np.int8), per_axis([0.1, 0.2, 0.3], 0))
    graph.output(graph.op("ADD", [x, c], (3, 4), "int8", per_tensor(0.5)))
    assert "several scales" in refusal(tmp_path / "net.tflite", graph.build())


def test_counts_in_options(tmp_path: Path) -> None:
    graph = GraphBuilder()
    x = graph.input("x", (4,))
    graph.output(graph.op("PACK", [x, x], (2, 4), options={"values_count": 3}))
    assert "values_count is 3, and has 2" in refusal(tmp_path / "net.tflite", graph.build())


@pytest.mark.parametrize("version", [0, 2, 4])
def test_other_schema_versions(tmp_path: Path, version: int) -> None:
    assert "version" in refusal(tmp_path / "net.tflite", sound_graph().build(version=version))


def test_file_without_graph(tmp_path: Path) -> None:
    assert "no graph" in refusal(tmp_path / "net.tflite", build_model())


def test_names_out_of_the_file_stay_short_and_on_one_line(tmp_path: Path) -> None:
    graph = GraphBuilder()
    x = graph.input("x\ny" * 1000, (3,))
    graph.output(graph.op("CUSTOM:a\nb" + "c" * 1000, [99], (3,)))
    message = refusal(tmp_path / "net.tflite", graph.build())
    assert "a\\nbccc" in message
    graph.operators[0].inputs = [x]
    graph.tensors[x].shape = (-3,)
    assert len(refusal(tmp_path / "net.tflite", graph.build())) < len(str(tmp_path)) + 300


def strings(*values: bytes) -> bytes:
    """A string tensor: count, where each string starts, where the last one ends, characters."""
    starts = 4 * (len(values) + 2) + np.cumsum([0, *map(len, values)])
    return np.int32([len(values), *starts]).tobytes() + b"".join(values)


@pytest.mark.parametrize(
    ("content", "sound"),
    [
        (strings(b"cat", b"", b"dog"), True),
        (strings(b"cat", b"dog"), False),
        (strings(b"cat", b"", b"dog")[:-1], False),
        (np.int32([3, 20, 10, 20, 23]).tobytes() + b"cat", False),
        (b"\3\0", False),
    ],
)
def test_string_constants(tmp_path: Path, content: bytes, sound: bool) -> None:
    graph = GraphBuilder()
    names = graph.tensor("names", (3,), "string", data=content)
    index = graph.input("index", (1,), "int32")
    graph.output(graph.op("GATHER", [names, index], (1,), "string"))
    path = tmp_path / "net.tflite"
    path.write_bytes(graph.build())
    if sound:
        assert read(path).tensors[names].size_bytes == len(content)
    else:
        assert "strings" in refusal(path, graph.build())


def flow(body: int, condition: int) -> bytes:
    main = GraphBuilder()
    x, final = main.input("x", (1,), "bool"), main.tensor("final", (1,), "bool")
    options = {"cond_subgraph_index": condition, "body_subgraph_index": body}
    main.multi_op("WHILE", [x], [final], options=options)
    main.output(final)
    inner = GraphBuilder("inner")
    inner.output(inner.op("LOGICAL_NOT", [inner.input("x", (1,), "bool")], (1,), "bool"))
    return build_model(main, inner)


def test_graphs_that_run_others(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(flow(body=1, condition=1))
    assert read(path).subgraphs == 2
    assert "does not exist" in refusal(path, flow(body=1, condition=2))
    assert "does not exist" in refusal(path, flow(body=-1, condition=1))
    assert "runs itself" in refusal(path, flow(body=0, condition=1))


def test_data_behind_the_flatbuffer(tmp_path: Path) -> None:
    """A file above 2 GB keeps its constants after the FlatBuffer, found by their file offset."""
    graph = GraphBuilder()
    x = graph.input("x", (1, 2))
    weights = np.float32([[1, 2], [3, 4]])
    w = graph.tensor("w", weights.shape, appended=weights.tobytes())
    graph.output(graph.op("FULLY_CONNECTED", [x, w, -1], (1, 2)))
    data = graph.build()
    path = tmp_path / "net.tflite"
    path.write_bytes(data)
    model = read(path)
    assert model.tensors[w].is_constant
    assert model.tensors[w].size_bytes == 16
    assert model.parameters == 4
    assert "behind the end of the file" in refusal(path, data[:-1])


def test_variables_need_no_value(tmp_path: Path) -> None:
    graph = GraphBuilder()
    state = graph.tensor("state", (1, 2), variable=True)
    graph.output(graph.op("ADD", [graph.input("x", (1, 2)), state], (1, 2)))
    path = tmp_path / "net.tflite"
    path.write_bytes(graph.build())
    assert read(path).tensors[state].is_variable
