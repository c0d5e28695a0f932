"""Parts of a graph, named by tensors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from assay.compiler.build import compile_model
from assay.compiler.config import Config
from assay.compiler.frontend.cut import cut
from assay.errors import ConfigError, UnsupportedOperatorError
from assay.model.facts import Model
from assay.model.reader import read
from assay.model.spec import Argument
from assay.runtimes.tvm import open_build
from tests.builder import GraphBuilder

Save = Callable[[GraphBuilder], Path]


@pytest.fixture
def branches(save: Save) -> Model:
    """sum = (a + b), left = relu(sum), right = -sum, tail = custom(left, right)."""
    graph = GraphBuilder()
    a, b = graph.input("a", (1, 3)), graph.input("b", (1, 3))
    total = graph.op("ADD", [a, b], (1, 3), output="sum")
    left = graph.op("RELU", [total], (1, 3), output="left")
    right = graph.op("NEG", [total], (1, 3), output="right")
    tail = graph.op("CUSTOM:Mystery", [left, right], (1, 3), output="tail")
    graph.output(tail)
    graph.signature("serve", {"first": a, "second": b}, {"result": tail})
    return read(save(graph))


def names(model: Model) -> tuple[list[str], list[str], list[int]]:
    return (
        [spec.name for spec in model.inputs],
        [spec.name for spec in model.outputs],
        [operator.index for operator in model.operators],
    )


def run(model: Model, *values: list[float]) -> list[np.ndarray]:
    feeds = [np.float32([value]) for value in values]
    result = open_build(compile_model(model, Config(opt_level=1)))(*feeds)
    return list(result) if isinstance(result, tuple) else [result]


def test_way_round_an_operator_that_does_not_compile(branches: Model) -> None:
    with pytest.raises(UnsupportedOperatorError, match="outputs 'left', 'right'"):
        compile_model(branches, Config())
    part = cut(branches, outputs=["right", "left"])
    assert names(part) == (["a", "b"], ["right", "left"], [0, 1, 2])
    right, left = run(part, [1, -2, 3], [1, 1, 1])
    np.testing.assert_array_equal(right, [[-2, 1, -4]])
    np.testing.assert_array_equal(left, [[2, 0, 4]])


def test_only_what_the_outputs_need(branches: Model) -> None:
    assert names(cut(branches, outputs=["left"])) == (["a", "b"], ["left"], [0, 1])


def test_inputs_within_the_graph(branches: Model) -> None:
    part = cut(branches, inputs=["sum"], outputs=["left"])
    assert names(part) == (["sum"], ["left"], [1])
    np.testing.assert_array_equal(run(part, [-1, 2, 3])[0], [[0, 2, 3]])


def test_an_input_may_be_an_output(branches: Model) -> None:
    part = cut(branches, inputs=["sum"], outputs=["sum", "left"])
    passed, left = run(part, [-1, 2, 3])
    np.testing.assert_array_equal(passed, [[-1, 2, 3]])
    np.testing.assert_array_equal(left, [[0, 2, 3]])


def test_inputs_in_another_order(branches: Model) -> None:
    part = cut(branches, inputs=["b", "a"], outputs=["sum"])
    assert names(part)[0] == ["b", "a"]
    np.testing.assert_array_equal(run(part, [1, 2, 3], [0, 0, 1])[0], [[1, 2, 4]])


def test_names_of_a_signature(branches: Model) -> None:
    part = cut(branches, inputs=["second", "first"])
    assert names(part) == (["b", "a"], ["tail"], [0, 1, 2, 3])
    assert names(cut(branches, outputs=["result"]))[1] == ["tail"]


def test_indices_of_the_file(branches: Model) -> None:
    assert names(cut(branches, inputs=["2"], outputs=["3"])) == (["sum"], ["left"], [1])


def test_a_part_keeps_the_names_of_signatures(branches: Model) -> None:
    part = cut(branches, inputs=["b", "a"], outputs=["sum"])
    assert [spec.arguments for spec in part.inputs] == [
        (Argument("serve", "second"),),
        (Argument("serve", "first"),),
    ]
    assert part.outputs[0].arguments == ()


def test_a_signature_says_whose_names_are_meant(save: Save) -> None:
    graph = GraphBuilder()
    x = graph.input("x", (1,))
    double = graph.op("ADD", [x, x], (1,), output="double")
    square = graph.op("MUL", [x, x], (1,), output="square")
    graph.output(double, square)
    graph.signature("twice", {"x": x}, {"y": double})
    graph.signature("squared", {"x": x}, {"y": square, "double": square})
    model = read(save(graph))
    for key, wanted in (("twice", "double"), ("squared", "square")):
        assert names(cut(model, ["x"], ["y"], key))[1] == [wanted]
    assert names(cut(model, None, ["double"], "twice"))[1] == ["double"]
    assert names(cut(model, None, ["double"], "squared"))[1] == ["square"]
    for name in ("y", "double"):
        both = f"2 tensors of .* are named {name!r}, 1 .'double'.*, 2 .'square'.*or a signature"
        with pytest.raises(ConfigError, match=both):
            cut(model, outputs=[name])
    with pytest.raises(ConfigError, match=r"no signature 'cubed' .*one of 'squared', 'twice'"):
        cut(model, outputs=["y"], signature="cubed")
    with pytest.raises(ConfigError, match="name inputs or outputs, too"):
        cut(model, signature="twice")


def test_nothing_named_is_the_model_itself(branches: Model) -> None:
    assert cut(branches) == branches


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        (None, ["lefty"], "no tensor is named 'lefty'; did you mean 'left'"),
        (None, ["zzz"], "no tensor is named 'zzz'"),
        (None, ["6"], "no tensor is named '6'"),
        (None, ["-1"], "no tensor is named '-1'"),
        (None, ["9" * 5000], "no tensor is named '9"),
        (["nothing"], None, "no tensor is named 'nothing'"),
        (["left"], ["right"], "depend on the input 'a'|depend on the input 'b'"),
        (["a"], ["sum"], "depend on the input 'b'"),
        (["a", "a"], ["sum"], "named twice"),
        (None, [], "no outputs are named"),
        ([], None, "no inputs are named"),
        (["result"], None, "no tensor is named 'result'"),
    ],
)
def test_what_cannot_be_cut(
    branches: Model, inputs: list[str] | None, outputs: list[str] | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        cut(branches, inputs, outputs)
    assert str(branches.path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_name_of_several_tensors(save: Save) -> None:
    graph = GraphBuilder()
    x = graph.input("x", (1,))
    same = [graph.op(name, [x], (1,), output="same") for name in ("RELU", "NEG")]
    graph.output(*same)
    with pytest.raises(
        ConfigError, match=r"2 tensors of .* are named 'same', 1 .*, 2 .*by its index, 1"
    ):
        cut(read(save(graph)), outputs=["same"])


def test_a_constant_is_no_input(save: Save) -> None:
    graph = GraphBuilder()
    c = graph.constant("c", np.float32([1]))
    graph.output(graph.op("ADD", [graph.input("x", (1,)), c], (1,)))
    with pytest.raises(ConfigError, match="'c' is a constant"):
        cut(read(save(graph)), inputs=["x", "c"])
