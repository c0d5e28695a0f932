"""What does not compile is told from the facts alone, all at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import assay
from assay.compiler.frontend.operators import NO_BOOLEANS
from assay.compiler.frontend.support import unsupported
from assay.data import DIGITS_FP32, DIGITS_INT8
from assay.errors import UnsupportedOperatorError
from assay.model.reader import read
from tests.builder import GraphBuilder, per_tensor

Save = Callable[[GraphBuilder], Path]
I32 = np.int32


def reasons(path: Path) -> list[tuple[int, str, str]]:
    return [(each.index, each.name, each.why) for each in unsupported(read(path))]


@pytest.fixture
def mixed(save: Save) -> Path:
    """Four operators that do not compile between others that do."""
    graph = GraphBuilder()
    x = graph.input("x", (1, 4))
    axis = graph.input("axis", (), "int32")
    y = graph.op("RELU", [x], (1, 4))
    y = graph.op("CUSTOM:Mystery\n", [y], (1, 4))
    y = graph.op("REVERSE_V2", [y, axis], (1, 4))
    y = graph.op("NEG", [y], (1, 4))
    y = graph.op("COMPLEX_ABS", [y], (1, 4))
    q = graph.op("QUANTIZE", [y], (1, 4), "int8", per_tensor(0.5))
    graph.output(graph.op("SIN", [q], (1, 4), "int8", per_tensor(0.5)))
    return save(graph)


def test_all_at_once_with_index_and_reason(mixed: Path) -> None:
    assert reasons(mixed) == [
        (1, "CUSTOM:Mystery\n", "a custom operator"),
        (2, "REVERSE_V2", "its axis is computed at run time"),
        (4, "COMPLEX_ABS", "not known to assay"),
        (6, "SIN", "its type int8 is none of fp32"),
    ]


def test_compiling_stops_with_all_of_them(mixed: Path) -> None:
    with pytest.raises(UnsupportedOperatorError) as raised:
        assay.compile(mixed)
    message = str(raised.value)
    assert message.startswith(f"{mixed}: 4 operator(s) cannot be compiled")
    for part in ("REVERSE_V2 at operator 2", "COMPLEX_ABS at operator 4", "SIN at operator 6"):
        assert part in message
    assert "with outputs 'relu_0'" in message
    assert "\n" not in message


def test_a_long_list_is_counted(save: Save) -> None:
    graph = GraphBuilder()
    y = graph.input("x", (1,))
    for _ in range(40):
        y = graph.op("CUSTOM:" + "Mystery" * 200, [y], (1,))
    graph.output(y)
    with pytest.raises(UnsupportedOperatorError, match=r"40 operator.*and 32 more") as raised:
        assay.compile(save(graph))
    assert len(str(raised.value)) < 3000


def test_models_that_compile() -> None:
    for path in (DIGITS_FP32, DIGITS_INT8):
        assert unsupported(read(path)) == []


def test_operators_that_are_constants_need_no_conversion(save: Save) -> None:
    graph = GraphBuilder()
    x = graph.input("x", (2, 3), "int8", per_tensor(0.5))
    shape = graph.op("SHAPE", [x], (2,), "int32")
    steps = [graph.constant(n, I32(v)) for n, v in (("start", 0), ("delta", 1))]
    size = graph.op("REDUCE_PROD", [shape, graph.constant("axes", I32([0]))], (), "int32")
    graph.output(x, graph.op("RANGE", [steps[0], size, steps[1]], (6,), "int32"))
    assert reasons(save(graph)) == []


@pytest.mark.parametrize(
    ("name", "dtype", "quantized", "why"),
    [
        ("ABS", "int8", False, "int8 without a scale"),
        ("ADD", "float16", False, "float16"),
        ("ADD", "string", False, "string"),
        ("SIN", "int32", False, "integer"),
        ("RESHAPE", "int8", False, ""),
        ("RESHAPE", "int8", True, ""),
    ],
)
def test_types(save: Save, name: str, dtype: str, quantized: bool, why: str) -> None:
    graph = GraphBuilder()
    x = graph.input("x", (1, 4), dtype, per_tensor(0.5) if quantized else None)
    operands = {"ADD": [x, x], "ABS": [x], "SIN": [x]}.get(
        name, [x, graph.constant("s", I32([4, 1]))]
    )
    graph.output(graph.op(name, operands, (1, 4), dtype))
    found = reasons(save(graph))
    assert [each[2].split(" is none")[0] for each in found] == ([f"its type {why}"] if why else [])


@pytest.mark.parametrize("name", sorted(NO_BOOLEANS))
def test_arithmetic_on_booleans_is_refused(save: Save, name: str) -> None:
    for dtype in ("bool", "int32"):
        graph = GraphBuilder()
        x = graph.input("x", (1, 4), dtype)
        operands = [x] if name in ("ABS", "NEG") else [x, x]
        result = "bool" if name.startswith(("GREATER", "LESS")) else dtype
        graph.output(graph.op(name, operands, (1, 4), result))
        refused = [(0, name, "it takes no booleans")] if dtype == "bool" else []
        assert reasons(save(graph)) == refused


def test_state_is_refused(save: Save) -> None:
    graph = GraphBuilder()
    x = graph.input("x", (1, 4))
    state = graph.tensor("state", (1, 4), variable=True)
    graph.output(graph.op("ADD", [x, state], (1, 4)))
    assert reasons(save(graph)) == [(0, "ADD", "it keeps 'state' from one run to the next")]


def test_asking_takes_no_tvm() -> None:
    code = (
        "import sys; from assay.model.reader import read\n"
        "from assay.compiler.frontend.support import unsupported\n"
        "from assay.compiler.frontend.cut import cut\n"
        f"assert unsupported(cut(read({str(DIGITS_FP32)!r}))) == []\n"
        "assert 'tvm' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
