"""Each way in which a well-formed file can make no sense, and what the refusal says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from assay.errors import ModelError
from assay.model.facts import Model
from assay.model.reader import read
from assay.model.spec import Quantization
from tests.builder import GraphBuilder, build_model, per_axis, per_tensor
from tests.model.networks import float_network

Q = per_tensor(0.5, 3)
Change = Callable[[GraphBuilder], object]


def sound_graph() -> GraphBuilder:
    """Tensors: 0 x, 1 w, 2 b, 3 conv_2d_0, 4 axes, 5 mean_1."""
    graph = GraphBuilder()
    x = graph.input("x", (1, 4, 4, 2), "int8", Q)
    w = graph.constant("w", np.ones((3, 1, 1, 2), np.int8), per_axis([0.1, 0.2, 0.3], 0))
    b = graph.constant("b", np.ones(3, np.int32), per_axis([0.05, 0.1, 0.15], 0))
    y = graph.op("CONV_2D", [x, w, b], (1, 4, 4, 3), "int8", Q)
    graph.output(graph.op("MEAN", [y, graph.constant("axes", np.int32([1, 2]))], (1, 3), "int8", Q))
    graph.signature("serving_default", {"image": x}, {"scores": 5})
    return graph


def refusal(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(ModelError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path} is damaged: ")
    assert "\n" not in message
    return message


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
    ("scales", "words"),
    [((0.5, 1e-7), "takes values of scale 0.5 to a scale of 1e-07"), ((0.5, 0.25), None)],
)
def test_sums_need_scales_of_one_order(
    tmp_path: Path, scales: tuple[float, float], words: str | None
) -> None:
    graph = GraphBuilder()
    x = graph.input("x", (4,), "int8", per_tensor(scales[0]))
    graph.output(graph.op("ADD", [x, x], (4,), "int8", per_tensor(scales[1])))
    path = tmp_path / "net.tflite"
    if words is None:
        path.write_bytes(graph.build())
        assert read(path).op_counts == {"ADD": 1}
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


def test_enumerations_have_limits(tmp_path: Path) -> None:
    graph = sound_graph()
    graph.operators[0].options = {"padding": 2}
    assert "padding is 2" in refusal(tmp_path / "net.tflite", graph.build())


def test_tables_that_overlap_are_not_walked_for_ever(tmp_path: Path) -> None:
    """One long vector of operators that are all the same one, in many graphs that are all one."""
    import flatbuffers
    import tflite

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
