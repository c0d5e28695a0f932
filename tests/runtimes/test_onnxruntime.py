from __future__ import annotations

import sys

import numpy as np
import pytest

from assay.errors import ConfigError, MissingDependencyError, ModelError
from assay.model.spec import TensorSpec
from assay.runtimes.onnxruntime import open_onnxruntime
from tests.runtimes.onnx_builder import model, node
from tests.runtimes.processes import helper_threads

SUBTRACT = model(
    [node("Sub", ["b", "a"], ["difference"]), node("Neg", ["difference"], ["back"])],
    [("a", "float32", ["N", 3]), ("b", "float32", ["N", 3])],
    [("back", "float32", ["N", 3]), ("difference", "float32", ["N", 3])],
)
NON_ZERO = model(
    [node("NonZero", ["x"], ["where"]), node("Neg", ["x"], ["y"])],
    [("x", "float32", ["", 3])],
    [("where", "int64", [2, "count"]), ("y", "float32", ["rows", 3])],
)
A, B = np.array([[1, 2, 3]], np.float32), np.array([[10, 10, 10]], np.float32)


@pytest.fixture
def subtract(save):
    pytest.importorskip("onnxruntime")
    return save(SUBTRACT, "model.onnx")


def test_inputs_and_outputs_come_in_the_models_order(subtract):
    runtime = open_onnxruntime(subtract)
    assert [spec.name for spec in runtime.inputs] == ["a", "b"]
    assert [spec.name for spec in runtime.outputs] == ["back", "difference"]
    back, difference = runtime(A, B)
    np.testing.assert_array_equal(back, A - B)
    np.testing.assert_array_equal(difference, B - A)


def test_a_symbolic_size_is_one(subtract):
    runtime = open_onnxruntime(subtract)
    assert runtime.inputs[0] == TensorSpec("a", (1, 3), "float32")
    assert runtime.outputs[0] == TensorSpec("back", (1, 3), "float32")


def test_sizes_that_follow_from_the_values_stay_open(save):
    pytest.importorskip("onnxruntime")
    runtime = open_onnxruntime(save(NON_ZERO, "model.onnx"))
    assert runtime.inputs == (TensorSpec("x", (1, 3), "float32"),)
    assert runtime.outputs[0] == TensorSpec("where", (2, -1), "int64")
    assert runtime.outputs[1] == TensorSpec("y", (-1, 3), "float32")
    for values, expected in (([1, 0, 2], [[0, 0], [0, 2]]), ([0, 4, 0], [[0], [1]])):
        where, negative = runtime(np.array([values], np.float32))
        np.testing.assert_array_equal(where, expected)
        np.testing.assert_array_equal(negative, [[-v for v in values]])


def test_values_are_copied_in_and_out(subtract):
    runtime = open_onnxruntime(subtract)
    b = B.copy()
    runtime.set_input("a", A)
    runtime.set_input("b", b)
    b[:] = 0
    runtime.run()
    first = runtime.get_output("difference")
    np.testing.assert_array_equal(first, [[9, 8, 7]])
    first[:] = -1
    np.testing.assert_array_equal(runtime.get_output("difference"), [[9, 8, 7]])
    runtime.set_input("b", A)
    runtime.run()
    np.testing.assert_array_equal(runtime.get_output("difference"), [[0, 0, 0]])


@pytest.mark.parametrize("dtype", ["float16", "int8", "int64"])
def test_other_dtypes_stay_raw(save, dtype):
    pytest.importorskip("onnxruntime")
    content = model([node("Identity", ["x"], ["y"])], [("x", dtype, [3])], [("y", dtype, [3])])
    runtime = open_onnxruntime(save(content, "model.onnx"))
    value = np.array([-1, 0, 7], dtype)
    result = runtime(value)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, value)


@pytest.mark.parametrize(("threads", "helpers"), [(1, 0), (3, 2)])
def test_threads_are_those_asked_for(subtract, threads, helpers):
    assert open_onnxruntime(subtract, threads=threads).threads == threads
    assert helper_threads("onnxruntime", "onnxruntime", subtract, threads) == helpers


def test_no_threads_are_too_few(subtract):
    with pytest.raises(ConfigError, match="threads is 0"):
        open_onnxruntime(subtract, threads=0)


def test_a_tflite_file_is_refused_with_the_format_that_is_needed(save, several):
    with pytest.raises(ModelError, match=r"model.tflite: ONNX Runtime reads \.onnx files only"):
        open_onnxruntime(save(several))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"nothing\.onnx: no such file"):
        open_onnxruntime(tmp_path / "nothing.onnx")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a protobuf",
        SUBTRACT[:-40],
        model([node("Frobnicate", ["x"], ["y"])], [("x", "int8", [1])], [("y", "int8", [1])]),
    ],
    ids=["empty", "garbage", "cut", "unknown operator"],
)
def test_what_onnx_runtime_refuses_is_one_sentence(save, content):
    pytest.importorskip("onnxruntime")
    with pytest.raises(ModelError, match=r"model\.onnx: ONNX Runtime refuses") as caught:
        open_onnxruntime(save(content, "model.onnx"))
    assert "\n" not in str(caught.value)


def test_strings_are_no_numbers(save):
    pytest.importorskip("onnxruntime")
    port = ("x", "string", [1])
    content = model([node("Identity", ["x"], ["y"])], [port], [("y", *port[1:])])
    with pytest.raises(ModelError, match=r"'x' is a tensor\(string\)"):
        open_onnxruntime(save(content, "model.onnx"))


def test_without_the_package_the_extra_is_named(save, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # import raises ImportError
    with pytest.raises(MissingDependencyError, match=r"pip install 'assay\[peers\]'"):
        open_onnxruntime(save(SUBTRACT, "model.onnx"))
