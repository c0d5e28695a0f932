from __future__ import annotations

import numpy as np
import pytest

from assay.errors import ConfigError, InputError, ModelError
from assay.model.spec import TensorSpec
from assay.runtimes.litert import open_litert
from tests.builder import GraphBuilder, per_axis, per_tensor
from tests.runtimes.processes import helper_threads

A, Z, B = (np.array([row], np.float32) for row in ([5, 7, 9], [1, 1, 2], [10, 20, 30]))


def test_inputs_and_outputs_come_in_the_models_order(save, several):
    runtime = open_litert(save(several))
    assert [spec.name for spec in runtime.inputs] == ["a", "z", "b"]
    assert [spec.name for spec in runtime.outputs] == ["difference", "rest", "difference"]
    difference, rest, again = runtime(A, Z, B)
    np.testing.assert_array_equal(difference, [[4, 6, 7]])
    np.testing.assert_array_equal(rest, [[-6, -14, -23]])
    np.testing.assert_array_equal(again, difference)


def test_tensors_are_found_by_name(save, several):
    runtime = open_litert(save(several))
    for name, value in (("b", B), ("a", A), ("z", Z)):
        runtime.set_input(name, value)
    runtime.run()
    np.testing.assert_array_equal(runtime.get_output("rest"), A - Z - B)


def test_values_are_copied_in_and_out(save, several):
    runtime = open_litert(save(several))
    a = A.copy()
    runtime.set_input(0, a)
    runtime.set_input(1, Z)
    runtime.set_input(2, B)
    a[:] = 0
    runtime.run()
    first = runtime.get_output(0)
    first[:] = -1
    np.testing.assert_array_equal(runtime.get_output(0), A - Z)


def test_a_strided_view_is_a_valid_input(save, several):
    runtime = open_litert(save(several))
    columns = np.arange(6, dtype=np.float32).reshape(1, 6)[:, ::2]
    np.testing.assert_array_equal(runtime(columns, Z, B)[0], columns - Z)


def test_quantized_tensors_stay_raw(save, doubling):
    runtime = open_litert(save(doubling))
    assert runtime.inputs == (TensorSpec("x", (1, 4), "int8", per_tensor(0.5, 3)),)
    assert runtime.outputs == (TensorSpec("y", (1, 4), "int8", per_tensor(1.0, 3)),)
    raw = np.array([[-128, 3, 4, 127]], np.int8)
    np.testing.assert_array_equal(runtime(raw), raw)


def test_per_axis_quantization_is_in_the_spec(save):
    quantization = per_axis([0.25, 0.5, 0.125], axis=1)
    graph = GraphBuilder()
    x = graph.input("x", (2, 3), "int8", quantization)
    graph.output(graph.op("DEQUANTIZE", [x], (2, 3), version=5))
    runtime = open_litert(save(graph))
    assert runtime.inputs[0].quantization == quantization
    np.testing.assert_array_equal(
        runtime(np.full((2, 3), 4, np.int8)), [[1.0, 2.0, 0.5], [1.0, 2.0, 0.5]]
    )


def test_dynamic_dimensions_have_the_size_that_the_file_gives(save):
    graph = GraphBuilder()
    x = graph.input("x", (1, 3), shape_signature=(-1, 3))
    graph.output(graph.op("RELU", [x], (1, 3), shape_signature=(-1, 3)))
    runtime = open_litert(save(graph))
    assert runtime.inputs[0].shape == (1, 3)
    assert runtime.outputs[0].shape == (1, 3)
    assert runtime(np.ones((1, 3), np.float32)).shape == (1, 3)


def test_a_scalar_input(save):
    graph = GraphBuilder()
    x = graph.input("x", ())
    graph.output(graph.op("NEG", [x], ()))
    result = open_litert(save(graph))(np.array(2.0, np.float32))
    assert result.shape == ()
    assert result == -2.0


def test_reference_kernels_round_halves_away_from_zero(save):
    graph = GraphBuilder()
    x = graph.input("x", (1, 4))
    graph.output(graph.op("QUANTIZE", [x], (1, 4), "int8", per_tensor(1.0)))
    halves = np.array([[0.5, 2.5, -0.5, -2.5]], np.float32)
    np.testing.assert_array_equal(
        open_litert(save(graph), reference=True)(halves), [[1, 3, -1, -3]]
    )


def test_reference_and_fast_kernels_agree_on_a_real_model(shared):
    path = shared / "zoo/vww_96_float.tflite"
    value = np.random.default_rng(0).normal(size=(1, 96, 96, 3)).astype(np.float32)
    fast, reference = open_litert(path)(value), open_litert(path, reference=True)(value)
    np.testing.assert_allclose(fast, reference, atol=1e-6)


@pytest.mark.parametrize(("threads", "helpers"), [(1, 0), (3, 2)])
def test_threads_are_those_asked_for(save, threads, helpers):
    rng = np.random.default_rng(0)
    graph = GraphBuilder()
    inputs = [
        graph.input("x", (1, 8, 8, 4)),
        graph.constant("w", rng.normal(size=(8, 3, 3, 4)).astype(np.float32)),
        graph.constant("b", np.zeros(8, np.float32)),
    ]
    graph.output(graph.op("CONV_2D", inputs, (1, 8, 8, 8)))
    path = save(graph)
    assert open_litert(path, threads=threads).threads == threads
    assert helper_threads("litert", "ai_edge_litert.interpreter", path, threads) == helpers


@pytest.mark.parametrize("threads", [0, -1])
def test_no_threads_are_too_few(save, several, threads):
    with pytest.raises(ConfigError, match=f"threads is {threads}"):
        open_litert(save(several), threads=threads)


def test_an_input_of_another_dtype_is_refused(save, doubling):
    with pytest.raises(InputError, match="'x' takes int8"):
        open_litert(save(doubling)).set_input("x", np.zeros((1, 4), np.float32))


def test_an_operator_that_litert_lacks_is_named(save):
    graph = GraphBuilder()
    graph.output(graph.op("CUSTOM:Frobnicate", [graph.input("x", (1, 3))], (1, 3)))
    path = save(graph)
    with pytest.raises(ModelError) as caught:
        open_litert(path)
    assert str(path) in str(caught.value)
    assert "Frobnicate" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_file_never_reaches_litert(save, several):
    path = save(several.build()[:200])
    with pytest.raises(ModelError, match=r"model\.tflite") as caught:
        open_litert(path)
    assert "LiteRT" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"nothing\.tflite"):
        open_litert(tmp_path / "nothing.tflite")
