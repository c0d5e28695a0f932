"""Files from the builder must mean to LiteRT what the test meant."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from tests.builder import GraphBuilder, per_axis, per_tensor


def run(data: bytes, *inputs: np.ndarray) -> list[np.ndarray]:
    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    for detail, value in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    return [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]


def convolve(x: np.ndarray, w: np.ndarray, stride: int, pad: tuple[int, int]) -> np.ndarray:
    """Direct convolution of [h, w, c] with [out, kh, kw, c], ``pad`` before and after."""
    padded = np.pad(x, (pad, pad, (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, w.shape[1:3], axis=(0, 1))
    return np.einsum("hwcij,oijc->hwo", windows[::stride, ::stride], w)


def test_float_convolution() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(1, 7, 7, 3)).astype(np.float32)
    w = rng.normal(size=(5, 3, 3, 3)).astype(np.float32)
    b = rng.normal(size=5).astype(np.float32)
    graph = GraphBuilder()
    out = graph.op(
        "CONV_2D",
        [graph.input("x", x.shape), graph.constant("w", w), graph.constant("b", b)],
        (1, 4, 4, 5),
        options={"stride_h": 2, "stride_w": 2, "activation": "RELU"},
    )
    graph.output(out)
    expected = np.maximum(convolve(x[0], w, 2, (1, 1)) + b, 0)
    np.testing.assert_allclose(run(graph.build(), x)[0][0], expected, rtol=1e-5, atol=1e-5)


def test_fully_connected() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(2, 6)).astype(np.float32)
    w = rng.normal(size=(3, 6)).astype(np.float32)
    graph = GraphBuilder()
    graph.output(
        graph.op("FULLY_CONNECTED", [graph.input("x", x.shape), graph.constant("w", w), -1], (2, 3))
    )
    np.testing.assert_allclose(run(graph.build(), x)[0], x @ w.T, rtol=1e-5)


def test_integer_convolution_per_axis() -> None:
    rng = np.random.default_rng(3)
    x = rng.integers(-128, 128, (1, 5, 5, 2), np.int8)
    w = rng.integers(-127, 128, (3, 3, 3, 2), np.int8)
    b = rng.integers(-500, 500, 3, np.int32)
    scales = np.array([0.01, 0.02, 0.005])
    graph = GraphBuilder()
    inputs = [
        graph.input("x", x.shape, "int8", per_tensor(0.05, 3)),
        graph.constant("w", w, per_axis(scales, 0)),
        graph.constant("b", b, per_axis(0.05 * scales, 0)),
    ]
    options = {"padding": "VALID"}
    graph.output(
        graph.op("CONV_2D", inputs, (1, 3, 3, 3), "int8", per_tensor(0.1, -4), options=options)
    )
    total = convolve(x[0].astype(np.int32) - 3, w.astype(np.int32), 1, (0, 0)) + b
    expected = np.clip(np.round(total * (0.05 * scales / 0.1)) - 4, -128, 127)
    difference = np.abs(run(graph.build(), x)[0][0].astype(np.int32) - expected)
    assert difference.max() <= 1  # LiteRT rounds its fixed-point products differently


X = np.random.default_rng(4).normal(size=(1, 4, 6, 2)).astype(np.float32)
I32 = np.int32
HALVING = {"filter_h": 2, "filter_w": 2, "stride_h": 2, "stride_w": 2}
PADDINGS = ((0, 0), (1, 2), (0, 0), (0, 3))
EXP = np.exp(X)

# operator, constant operands after the input X, options, what NumPy makes of it
CASES: list[tuple[str, list[Any], dict[str, Any], np.ndarray]] = [
    ("ADD", [X], {}, X + X),
    ("SUB", [X[:, :1]], {}, X - X[:, :1]),
    ("MUL", [X], {"activation": "RELU6"}, np.clip(X * X, 0, 6)),
    ("DIV", [np.float32(3)], {}, X / np.float32(3)),
    ("RELU", [], {}, np.maximum(X, 0)),
    ("RELU6", [], {}, np.clip(X, 0, 6)),
    ("TANH", [], {}, np.tanh(X)),
    ("LOGISTIC", [], {}, 1 / (1 + np.exp(-X))),
    ("HARD_SWISH", [], {}, X * np.clip(X + 3, 0, 6) / 6),
    ("SOFTMAX", [], {}, EXP / EXP.sum(-1, keepdims=True)),
    ("AVERAGE_POOL_2D", [], HALVING, X.reshape(1, 2, 2, 3, 2, 2).mean((2, 4))),
    ("MAX_POOL_2D", [], HALVING, X.reshape(1, 2, 2, 3, 2, 2).max((2, 4))),
    ("MEAN", [I32([1, 2])], {}, X.mean((1, 2))),
    ("MEAN", [I32([1, 2])], {"keep_dims": True}, X.mean((1, 2), keepdims=True)),
    ("RESHAPE", [I32([2, 24])], {"new_shape": (2, 24)}, X.reshape(2, 24)),
    ("SQUEEZE", [], {"squeeze_dims": (0,)}, X[0]),
    ("CONCATENATION", [X], {"axis": 2}, np.concatenate([X, X], 2)),
    ("PAD", [I32(PADDINGS)], {}, np.pad(X, PADDINGS)),
    ("PADV2", [I32(PADDINGS), np.float32(7)], {}, np.pad(X, PADDINGS, constant_values=7)),
    ("TRANSPOSE", [I32([0, 3, 1, 2])], {}, X.transpose(0, 3, 1, 2)),
    ("RESIZE_NEAREST_NEIGHBOR", [I32([8, 12])], {}, X.repeat(2, 1).repeat(2, 2)),
    ("RESIZE_BILINEAR", [I32([4, 6])], {"half_pixel_centers": True}, X),
    ("ARG_MAX", [I32(2)], {}, X.argmax(2)),
    (
        "STRIDED_SLICE",
        [I32([0, 1, 0, 0]), I32([1, 4, 6, 1]), I32([1, 2, 1, 1])],
        {"shrink_axis_mask": 8},
        X[:, 1:4:2, :, 0],
    ),
    ("SHAPE", [], {}, I32(X.shape)),
    ("PACK", [X], {"values_count": 2}, np.stack([X, X])),
    ("GATHER", [I32([3, 0])], {"axis": 1}, X[:, [3, 0]]),
    ("BATCH_MATMUL", [X], {"adj_y": True}, X @ X.swapaxes(-1, -2)),
    ("DEPTHWISE_CONV_2D", [X[:, :1, :1], np.zeros(2, np.float32)], {}, X * X[:, :1, :1]),
]


@pytest.mark.parametrize(("name", "constants", "options", "expected"), CASES)
def test_operators_compute_what_they_say(
    name: str, constants: list[Any], options: dict[str, Any], expected: np.ndarray
) -> None:
    graph = GraphBuilder()
    inputs = [graph.input("x", X.shape)]
    inputs += [graph.constant(f"c{i}", value) for i, value in enumerate(constants)]
    graph.output(graph.op(name, inputs, expected.shape, str(expected.dtype), options=options))
    [actual] = run(graph.build(), X)
    assert actual.dtype == expected.dtype
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


def test_operands_before_the_input() -> None:
    x = X[:, :2, :2]
    graph = GraphBuilder()
    shape = graph.constant("shape", I32([1, 4, 4, 3]))
    w = np.random.default_rng(5).normal(size=(3, 2, 2, 2)).astype(np.float32)
    inputs = [shape, graph.constant("w", w), graph.input("x", x.shape)]
    options = {"stride_h": 2, "stride_w": 2, "padding": "VALID"}
    graph.output(graph.op("TRANSPOSE_CONV", inputs, (1, 4, 4, 3), options=options))
    expected = np.einsum("hwc,oijc->hiwjo", x[0], w).reshape(4, 4, 3)
    np.testing.assert_allclose(run(graph.build(), x)[0][0], expected, rtol=1e-5, atol=1e-5)


def test_several_inputs_and_outputs() -> None:
    graph = GraphBuilder()
    a, b = graph.input("a", (2, 2)), graph.input("b", (2, 2))
    difference = graph.op("SUB", [a, b], (2, 2))
    halves = [graph.tensor(f"half{i}", (1, 2)) for i in range(2)]
    graph.multi_op("SPLIT", [graph.constant("axis", I32(0)), difference], halves)
    graph.output(*halves)
    graph.signature("serving_default", {"left": a, "right": b}, {"upper": halves[0]})
    left, right = np.float32([[5, 6], [7, 8]]), np.float32([[1, 1], [2, 2]])
    upper, lower = run(graph.build(), left, right)
    np.testing.assert_array_equal(upper, [[4, 5]])
    np.testing.assert_array_equal(lower, [[5, 6]])
    runner = Interpreter(model_content=graph.build()).get_signature_runner("serving_default")
    np.testing.assert_array_equal(runner(left=left, right=right)["upper"], [[4, 5]])


def test_quantize_and_back() -> None:
    graph = GraphBuilder()
    q = graph.op("QUANTIZE", [graph.input("x", X.shape)], X.shape, "int8", per_tensor(0.1, 5))
    graph.output(graph.op("DEQUANTIZE", [q], X.shape))
    np.testing.assert_allclose(run(graph.build(), X)[0], X, atol=0.0501)


def test_dynamic_batch_can_be_resized() -> None:
    graph = GraphBuilder()
    x = graph.input("x", (1, 3), shape_signature=(-1, 3))
    graph.output(graph.op("RELU", [x], (1, 3), shape_signature=(-1, 3)))
    interpreter = Interpreter(model_content=graph.build())
    assert interpreter.get_input_details()[0]["shape_signature"].tolist() == [-1, 3]
    interpreter.resize_tensor_input(0, [4, 3], strict=True)
    interpreter.allocate_tensors()
    assert interpreter.get_output_details()[0]["shape"].tolist() == [4, 3]


def test_custom_operator_is_named() -> None:
    graph = GraphBuilder()
    graph.output(graph.op("CUSTOM:Nonesuch", [graph.input("x", (1,))], (1,), custom_options=b"\1"))
    with pytest.raises(RuntimeError, match="Nonesuch"):
        Interpreter(model_content=graph.build()).allocate_tensors()


def test_constants_behind_the_flatbuffer() -> None:
    weights = np.float32([[1, 2], [3, 4]])
    graph = GraphBuilder()
    w = graph.tensor("w", weights.shape, appended=weights.tobytes())
    b = graph.tensor("b", (2,), appended=np.float32([10, 20]).tobytes())
    graph.output(graph.op("FULLY_CONNECTED", [graph.input("x", (1, 2)), w, b], (1, 2)))
    np.testing.assert_array_equal(run(graph.build(), np.float32([[1, 1]]))[0], [[13, 27]])
