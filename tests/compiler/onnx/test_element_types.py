"""Operators in types other than float32: they compute what ONNX Runtime does, or are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import assay
from assay.compiler.frontend.onnx.element_types import NO_KERNEL
from assay.compiler.frontend.onnx.support import unsupported_in
from assay.errors import UnsupportedOperatorError
from tests.compiler.onnx.cases import Case, Input, case
from tests.compiler.onnx.test_operators import Problem

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

SHAPE = (1, 4, 4, 4)


def moved(dtype: str) -> list[Case]:
    """Operators that every type has."""
    x = Input(SHAPE, dtype, 0, 3)
    return [
        case("Concat", x, x, axis=1),
        case("Gather", x, [1, 0], axis=1),
        case("Transpose", x, perm=[0, 2, 3, 1]),
        case("Slice", x, [0, 1], [1, 3]),
        case("Where", np.array([True, False, True, True]), x, x),
        case("Equal", x, x),
        case("Cast", x, to=1),
    ]


def computed(dtype: str) -> list[Case]:
    x, weights = Input(SHAPE, dtype, 0, 3), np.eye(4, dtype=dtype)
    cases = [case("Add", x, x), case("Mul", x, x), case("Max", x, x), case("Less", x, x)]
    if dtype not in ("int8", "uint8"):
        cases += [case("ReduceSum", x, [1]), case("MatMul", x, weights)]
    if dtype.startswith("float"):
        cases += [
            case("Relu", x),
            case("Softmax", x, tolerance=1e-3),
            case("Sigmoid", x, tolerance=1e-3),
            case("Gemm", Input((4, 4), dtype), weights),
        ]
    if dtype == "float16":
        cases.append(case("Conv", x, weights.reshape(4, 4, 1, 1)))
        cases.append(case("Resize", x, None, None, [1, 4, 8, 8], mode="nearest"))
    return cases


@pytest.mark.parametrize("opt_level", [0, 3])
@pytest.mark.parametrize("dtype", ["float16", "float64", "int8", "uint8", "int32", "int64", "bool"])
def test_types_that_compile(dtype: str, opt_level: int, tmp_path: Path) -> None:
    # ONNX Runtime has no Where of 8-bit integers but uint8, of booleans and of float16.
    cases = [c for c in moved(dtype) if c.name != "Where" or dtype in ("uint8", "int32", "int64")]
    cases += [] if dtype == "bool" else computed(dtype)
    Problem(17, cases).check(tmp_path / "net.onnx", opt_level=opt_level)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_a_mean_of_everything(dtype: str, tmp_path: Path) -> None:
    mean = case("ReduceMean", Input((2, 3, 4), dtype), keepdims=0, tolerance=1e-2)
    Problem(17, [mean]).check(tmp_path / "net.onnx", opt_level=3)


@pytest.mark.parametrize(("dtype", "worst"), [("uint8", 0), ("int8", -128)])
def test_the_first_position_of_equal_bytes(dtype: str, worst: int, tmp_path: Path) -> None:
    rows = Input((2, 3), dtype, worst, worst)
    best = Input((2, 3), dtype, 127, 127)
    Problem(17, [case("ArgMax", rows, axis=1), case("ArgMin", best, axis=1)]).check(
        tmp_path / "net.onnx", opt_level=1
    )


def save(path: Path, kinds: list[str], dtype: str, constants: int = 0) -> None:
    """Write a file whose operators, one after another, have operands of a type."""
    helper = onnx.helper
    number = getattr(onnx.TensorProto, dtype)
    value = [b"1"] * 4 if dtype == "STRING" else [1] * 4
    names = [f"c{at}" for at in range(constants)]
    values = [helper.make_tensor(name, number, [4], value) for name in names]
    results = [f"v{at}" for at in range(len(kinds))]
    nodes = [
        helper.make_node(kind, [given, *names], [result])
        for kind, given, result in zip(kinds, ["x", *results], results, strict=False)
    ]
    given = helper.make_tensor_value_info("x", number, SHAPE)
    result = helper.make_tensor_value_info(results[-1], number, SHAPE)
    graph = helper.make_graph(nodes, "net", [given], [result], values)
    sets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=sets, ir_version=8), path)


@pytest.mark.parametrize(
    ("kinds", "dtype", "constants", "words"),
    [
        (["Identity", "Identity"], "STRING", 0, ["'x' is string", "'v0' is string, which"]),
        (["BatchNormalization"], "STRING", 4, ["'x' is string"]),
        (["Relu", "Neg"], "BFLOAT16", 0, ["'x' is bfloat16", "'v0' is bfloat16"]),
        (["Identity", "Sigmoid"], "UINT8", 0, ["", "'v0' is uint8, which ONNX does not allow"]),
        (["Relu"], "BOOL", 0, ["'x' is bool, which ONNX"]),
        (["Add"], "BOOL", 1, ["'x' is bool, which ONNX"]),
        (["Abs", "Elu"], "DOUBLE", 0, ["", "'v0' is float64, which no kernel computes in"]),
        (["Sinh"], "FLOAT16", 0, ["'x' is float16, which no kernel computes in"]),
        (["Selu"], "FLOAT16", 0, ["'x' is float16, which no kernel computes in"]),
    ],
)
def test_types_that_are_refused(
    kinds: list[str], dtype: str, constants: int, words: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "net.onnx"
    save(path, kinds, dtype, constants)
    model = assay.read(path)
    wanted = {at: each for at, each in enumerate(words) if each}
    found = {each.index: each for each in unsupported_in(model)}
    assert found.keys() == wanted.keys()
    for at, said in wanted.items():
        assert found[at].why.startswith(said)
        assert found[at].name == kinds[at]
    with pytest.raises(UnsupportedOperatorError, match=f"{len(wanted)} operator") as raised:
        assay.compile(model)
    for at, each in found.items():
        assert f"{each.name} at operator {at}: {each.why}" in str(raised.value)


def test_the_page_names_what_kernels_lack() -> None:
    text = (Path(__file__).parents[3] / "docs" / "operators.md").read_text()
    listed = text[text.index("kernels lack in") :]
    for dtype, names in NO_KERNEL.items():
        line = listed[listed.index(dtype) :].partition("\n- ")[0]
        assert all(f"`{name}`" in line.partition("\n\n")[0] for name in names)
