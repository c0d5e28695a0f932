"""Values that follow from constants and shapes, against LiteRT's reference kernels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import assay
from assay.compiler.frontend.folding import FOLDS, fold
from assay.compiler.frontend.known import FOLDABLE, foldable, known_tensors
from assay.model.facts import Model, Operator
from assay.model.reader import read
from tests.builder import GraphBuilder, per_tensor
from tests.compiler.frontend.cases import CASES
from tests.compiler.frontend.one_operator import Case, Data, Problem

I32 = np.int32
X = Data((2, 3, 4))

# Operators that compile in constant form only.
CONSTANT_ONLY = [
    Case("SHAPE", (X,), "fp32", output="int32"),
    Case("SHAPE", (X,), "fp32", {"out_type": "int64"}, output="int64"),
    Case("RANK", (X,), "fp32", output="int32"),
    Case("RANGE", (I32(2), I32(11), I32(3)), "integer"),
    Case("RANGE", (I32(5), I32(-5), I32(-4)), "integer"),
    Case("RANGE", (np.float32(0), np.float32(1), np.float32(0.25)), "fp32"),
    Case("FILL", (I32([2, 3]), I32(7)), "integer"),
    Case("BROADCAST_ARGS", (I32([2, 1, 4]), I32([3, 1])), "integer"),
    Case("DEQUANTIZE", (np.float16([0.1, -65504, 6e-8]),), "fp32"),
    Case("DIV", (I32([7, -7, 7, -7]), I32([2, 2, -2, -2])), "integer", note="signs"),
    Case("GATHER", (X, np.int32([[1, 0], [2, 2]])), "fp32", {"axis": 1, "batch_dims": 1}),
    Case("GATHER", (X, np.int32([[1, 0], [2, 2]])), "fp32", {"axis": 2, "batch_dims": 1}),
]

PROBLEMS = [
    pytest.param(case, scheme, id=f"{case.name}-{scheme}-{index}")
    for index, case in enumerate([*CONSTANT_ONLY, *CASES])
    for scheme in case.schemes.split()
    if case.name in FOLDS
    and scheme in ("fp32", "integer")
    and case.options.get("activation", "NONE") == "NONE"
    and case.note != "option"
]


@pytest.mark.parametrize(("case", "scheme"), PROBLEMS)
def test_a_known_value_is_what_litert_computes(case: Case, scheme: str, tmp_path: Path) -> None:
    problem = Problem(case, scheme)
    path = tmp_path / "model.tflite"
    path.write_bytes(problem.with_input())
    operator = read(path).operators[0]
    actual = fold(operator, problem.operands(), [str(e.dtype) for e in problem.expected])
    for ours, theirs in zip(actual, problem.expected, strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


def test_every_operator_has_a_case() -> None:
    assert set(FOLDS) == FOLDABLE
    assert {case.name for case in [*CONSTANT_ONLY, *CASES]} >= set(FOLDS)


def test_a_fused_activation_is_not_lost(tmp_path: Path) -> None:
    graph = GraphBuilder()
    two = graph.constant("two", I32([2]))
    graph.output(
        graph.op(
            "SUB",
            [two, graph.constant("five", I32([5]))],
            (1,),
            "int32",
            options={"activation": "RELU"},
        )
    )
    graph.output(graph.op("RELU", [graph.input("x", (1,))], (1,)))
    path = tmp_path / "model.tflite"
    path.write_bytes(graph.build())
    assert not foldable(read(path).operators[0])


class TestKnown:
    def read(self, tmp_path: Path, graph: GraphBuilder) -> Model:
        path = tmp_path / "model.tflite"
        path.write_bytes(graph.build())
        return read(path)

    def test_arithmetic_on_shapes_is_known(self, tmp_path: Path) -> None:
        graph = GraphBuilder()
        x = graph.input("x", (2, 8))
        shape = graph.op("SHAPE", [x], (2,), "int32")
        product = graph.op("REDUCE_PROD", [shape, graph.constant("axis", I32([0]))], (), "int32")
        packed = graph.op("PACK", [product], (1,), "int32")
        y = graph.op("RESHAPE", [x, packed], (16,))
        graph.output(y)
        known = known_tensors(self.read(tmp_path, graph))
        assert {shape, product, packed} <= known
        assert not {x, y} & known

    def test_what_depends_on_an_input_is_not(self, tmp_path: Path) -> None:
        graph = GraphBuilder()
        x = graph.input("x", (2,), "int32")
        doubled = graph.op("ADD", [x, graph.constant("c", I32([1, 1]))], (2,), "int32")
        graph.output(doubled)
        assert doubled not in known_tensors(self.read(tmp_path, graph))

    def test_quantized_constants_stay_in_the_graph(self, tmp_path: Path) -> None:
        graph = GraphBuilder()
        weights = graph.constant("w", np.ones((3, 2), np.int8), per_tensor(0.5))
        turned = graph.op(
            "TRANSPOSE",
            [weights, graph.constant("p", I32([1, 0]))],
            (2, 3),
            "int8",
            per_tensor(0.5),
        )
        graph.output(turned, graph.op("RELU", [graph.input("x", (1,))], (1,)))
        assert turned not in known_tensors(self.read(tmp_path, graph))

    def test_the_shape_of_a_quantized_tensor_is_known(self, tmp_path: Path) -> None:
        graph = GraphBuilder()
        x = graph.input("x", (2, 8), "int8", per_tensor(0.5))
        shape = graph.op("SHAPE", [x], (2,), "int32")
        graph.output(shape)
        assert shape in known_tensors(self.read(tmp_path, graph))


@pytest.mark.parametrize(
    ("name", "operands"),
    [
        ("FILL", [I32([2**20, 2**20]), I32(7)]),
        ("RANGE", [I32(0), I32(2**31 - 1), I32(1)]),
        ("RANGE", [np.float32(0), np.float32(1), np.float32(0)]),
        ("TILE", [I32([1, 2]), I32([2**30])]),
        ("BROADCAST_TO", [I32([1]), I32([2**30])]),
    ],
)
def test_absurd_sizes_are_refused(name: str, operands: list[np.ndarray]) -> None:
    operator = Operator(0, name, "", (), (), (), 0, 0)
    with pytest.raises(ValueError, match="does not fit into memory"):
        fold(operator, [np.asarray(operand) for operand in operands], ["int32"])


def test_a_known_output_compiles(save: Callable[[GraphBuilder], Path]) -> None:
    from assay.runtimes.tvm import open_build

    graph = GraphBuilder()
    x = graph.input("x", (2, 8))
    graph.output(graph.op("SHAPE", [x], (2,), "int32"), graph.op("RELU", [x], (2, 8)))
    build = assay.compile(save(graph), opt_level=1)
    shape, _ = open_build(build)(np.zeros((2, 8), np.float32))
    np.testing.assert_array_equal(shape, I32([2, 8]))
