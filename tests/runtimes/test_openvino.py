from __future__ import annotations

import os
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from assay.errors import ConfigError, MissingDependencyError, ModelError
from assay.model.spec import TensorSpec
from assay.runtimes.litert import open_litert
from assay.runtimes.openvino import open_openvino
from tests.builder import GraphBuilder, per_axis, per_tensor
from tests.runtimes.onnx_builder import model, node

needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is missing")
A, Z, B = (np.array([row], np.float32) for row in ([5, 7, 9], [1, 1, 2], [10, 20, 30]))


def random_input(spec: TensorSpec) -> np.ndarray:
    rng = np.random.default_rng(0)
    if spec.dtype == "float32":
        return rng.normal(size=spec.shape).astype(np.float32)
    limits = np.iinfo(spec.dtype)
    return rng.integers(limits.min, limits.max + 1, spec.shape).astype(spec.dtype)


@needs_openvino
def test_inputs_and_outputs_come_in_the_models_order(save, several):
    runtime = open_openvino(save(several))
    assert [spec.name for spec in runtime.inputs] == ["a", "z", "b"]
    assert [spec.name for spec in runtime.outputs] == ["difference", "rest", "difference"]
    difference, rest, again = runtime(A, Z, B)
    np.testing.assert_array_equal(difference, A - Z)
    np.testing.assert_array_equal(rest, A - Z - B)
    np.testing.assert_array_equal(again, difference)


@needs_openvino
def test_values_are_copied_in_and_out(save, several):
    runtime = open_openvino(save(several))
    a = A.copy()
    for name, value in (("b", B), ("z", Z), ("a", a)):
        runtime.set_input(name, value)
    a[:] = 0
    runtime.run()
    first = runtime.get_output("difference")
    first[:] = -1
    np.testing.assert_array_equal(runtime.get_output("difference"), A - Z)


@needs_openvino
def test_quantized_tensors_stay_raw(save, doubling):
    runtime = open_openvino(save(doubling))
    assert runtime.inputs == (TensorSpec("x", (1, 4), "int8", per_tensor(0.5, 3)),)
    assert runtime.outputs == (TensorSpec("y", (1, 4), "int8", per_tensor(1.0, 3)),)
    raw = np.array([[-128, 3, 4, 127]], np.int8)
    np.testing.assert_array_equal(runtime(raw), raw)


@needs_openvino
def test_an_integer_convolution_gives_what_litert_gives(save):
    rng = np.random.default_rng(3)
    scales = [0.002, 0.001, 0.003]
    graph = GraphBuilder()
    inputs = [
        graph.input("x", (1, 7, 5, 4), "int8", per_tensor(0.1, -7)),
        graph.constant("w", rng.integers(-127, 128, (3, 3, 3, 4), np.int8), per_axis(scales, 0)),
        graph.constant("b", np.array([5, -9, 0], np.int32), per_axis([s * 0.1 for s in scales], 0)),
    ]
    options = {"stride_h": 2, "stride_w": 2, "activation": "RELU6"}
    out = per_tensor(6 / 255, -128)
    graph.output(graph.op("CONV_2D", inputs, (1, 4, 3, 3), "int8", out, options=options, version=3))
    path = save(graph)
    value = random_input(open_litert(path).inputs[0])
    ours, theirs = open_openvino(path)(value), open_litert(path, reference=True)(value)
    assert ours.dtype == np.int8
    assert len(np.unique(theirs)) > 5
    np.testing.assert_allclose(ours, theirs.astype(int), atol=1)


@needs_openvino
def test_float_arithmetic_is_float32(save):
    """Also on CPUs with bfloat16, which keeps 8 bits and would be off by about one in 256."""
    rng = np.random.default_rng(4)
    weights = rng.normal(size=(16, 64)).astype(np.float32)
    graph = GraphBuilder()
    x = graph.input("x", (1, 64))
    graph.output(graph.op("FULLY_CONNECTED", [x, graph.constant("w", weights), -1], (1, 16)))
    value = rng.normal(size=(1, 64)).astype(np.float32)
    np.testing.assert_allclose(open_openvino(save(graph))(value), value @ weights.T, atol=1e-5)


@needs_openvino
@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("vww_96_float", 1e-6),
        ("pretrainedResnet", 1e-6),
        ("ad01_fp32", 1e-4),
        ("vww_96_int8", 1),
        ("pretrainedResnet_quant", 1),
        ("kws_ref_model", 1),
    ],
)
def test_real_models_give_what_litert_gives(shared, name, tolerance):
    path = shared / f"zoo/{name}.tflite"
    reference, runtime = open_litert(path, reference=True), open_openvino(path)
    assert (runtime.inputs, runtime.outputs) == (reference.inputs, reference.outputs)
    value = random_input(runtime.inputs[0])
    ours, theirs = runtime(value), reference(value)
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours.astype(float), theirs.astype(float), rtol=0, atol=tolerance)


@needs_openvino
def test_open_sizes_are_one(save):
    graph = GraphBuilder()
    x = graph.input("x", (1, 3), shape_signature=(-1, 3))
    graph.output(graph.op("NEG", [x], (1, 3), shape_signature=(-1, 3)))
    runtime = open_openvino(save(graph))
    assert runtime.inputs[0].shape == runtime.outputs[0].shape == (1, 3)
    np.testing.assert_array_equal(runtime(A), -A)


@needs_openvino
def test_an_onnx_file(save):
    content = model(
        [node("Sub", ["b", "a"], ["y"])],
        [("a", "float32", ["N", 3]), ("b", "float32", ["N", 3])],
        [("y", "float32", ["N", 3])],
    )
    runtime = open_openvino(save(content, "model.onnx"))
    assert runtime.inputs == (
        TensorSpec("a", (1, 3), "float32"),
        TensorSpec("b", (1, 3), "float32"),
    )
    assert runtime.outputs == (TensorSpec("y", (1, 3), "float32"),)
    np.testing.assert_array_equal(runtime(A, B), B - A)


@needs_openvino
@pytest.mark.parametrize("name", ["same", ""])
def test_tensors_of_one_name_are_refused(save, name):
    """OpenVINO takes them for one: here it would compute x - x."""
    graph = GraphBuilder()
    x, y = graph.input(name, (1, 3)), graph.input(name, (1, 3))
    graph.output(graph.op("SUB", [x, y], (1, 3), output="out"))
    with pytest.raises(ModelError, match=rf"model\.tflite: 2 tensors are named '{name}'"):
        open_openvino(save(graph))


@needs_openvino
@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_those_asked_for_and_the_caller_is_not_pinned(save, several, threads):
    allowed = os.sched_getaffinity(0)
    runtime = open_openvino(save(several), threads=threads)
    runtime(A, Z, B)
    compiled = runtime._request.get_compiled_model()
    assert compiled.get_property("INFERENCE_NUM_THREADS") == threads
    assert compiled.get_property("NUM_STREAMS") == 1
    assert os.sched_getaffinity(0) == allowed


@needs_openvino
def test_an_operator_that_openvino_lacks_is_named(save):
    graph = GraphBuilder()
    graph.output(graph.op("CUSTOM:Frobnicate", [graph.input("x", (1, 3))], (1, 3)))
    with pytest.raises(ModelError, match=r"model\.tflite: OpenVINO refuses.*Frobnicate") as caught:
        open_openvino(save(graph))
    assert "\n" not in str(caught.value)


@needs_openvino
def test_a_damaged_onnx_file_is_one_sentence(save):
    with pytest.raises(ModelError, match=r"model\.onnx: OpenVINO refuses") as caught:
        open_openvino(save(b"not a protobuf", "model.onnx"))
    assert "\n" not in str(caught.value)


def test_other_formats_are_refused(save):
    with pytest.raises(ModelError, match=r"model\.xml: OpenVINO reads \.tflite and \.onnx files"):
        open_openvino(save(b"<net/>", "model.xml"))


def test_no_threads_are_too_few(save, several):
    with pytest.raises(ConfigError, match="threads is 0"):
        open_openvino(save(several), threads=0)


def test_without_the_package_the_extra_is_named(save, several, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)  # import raises ImportError
    with pytest.raises(MissingDependencyError, match=r"pip install 'assay\[peers\]'"):
        open_openvino(save(several))
