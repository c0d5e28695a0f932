"""An FP32 TFLite network in float64, with NumPy: how far is each runtime from what the file says?

Operators are those of the FP32 networks that ``benchmarks.agreement`` compares; images are NHWC.
Source of the semantics: TFLite's reference kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from assay.compiler.frontend.known import known_tensors
from assay.model.facts import Operator
from assay.model.reader import read

Array = npt.NDArray[np.float64]
Compute = Callable[[Mapping[str, Any], list[Array]], Array]


class Float64:
    """A network; call it with one array for each input. Constants are read by LiteRT.

    ValueError if it holds an operator that is not in ``COMPUTE``.
    """

    def __init__(self, path: Path) -> None:
        model = read(path)
        known = known_tensors(model)
        self._model = model
        self._operators = [op for op in model.operators if not known.issuperset(op.outputs)]
        missing = sorted({op.name for op in self._operators} - COMPUTE.keys())
        if missing:
            raise ValueError(f"{path.name}: no {', '.join(missing)} in float64")
        interpreter = Interpreter(model_path=str(path))
        interpreter.allocate_tensors()
        self._constants = {
            tensor.index: interpreter.get_tensor(tensor.index)
            for tensor in model.tensors
            if tensor.is_constant
        }

    def __call__(self, *inputs: npt.NDArray[Any]) -> list[Array]:
        """Return the outputs of one inference."""
        values = {index: np.float64(each) for index, each in self._constants.items()}
        given = zip(self._model.input_indices, inputs, strict=True)
        values |= {index: np.float64(each) for index, each in given}
        for operator in self._operators:
            (output,) = operator.outputs
            values[output] = self._result(operator, values)
        return [values[index] for index in self._model.output_indices]

    def _result(self, operator: Operator, values: Mapping[int, Array]) -> Array:
        shape = self._model.tensors[operator.outputs[0]].static_shape
        if operator.name == "RESHAPE":
            return values[operator.inputs[0]].reshape(shape)
        operands = [values[index] for index in operator.inputs if index >= 0]
        made = COMPUTE[operator.name](operator.attributes, operands).reshape(shape)
        return np.clip(made, *_LIMITS[operator.attributes.get("activation", "NONE")])


_LIMITS = {"NONE": (-np.inf, np.inf), "RELU": (0.0, np.inf), "RELU6": (0.0, 6.0)}


def _windows(
    attributes: Mapping[str, Any], image: Array, window: tuple[int, ...], border: float
) -> Array:
    """Return [batch, out_h, out_w, channels, window_h, window_w]."""
    pads, spans = [(0, 0)], []
    for axis, size, extent in zip("hw", window, image.shape[1:3], strict=True):
        stride, dilation = attributes[f"stride_{axis}"], attributes.get(f"dilation_{axis}", 1)
        span = (size - 1) * dilation + 1
        beyond = max((-(-extent // stride) - 1) * stride + span - extent, 0)
        before = beyond // 2 if attributes["padding"] == "SAME" else 0
        pads.append((before, beyond - before if attributes["padding"] == "SAME" else 0))
        spans.append((span, stride, dilation))
    padded = np.pad(image, [*pads, (0, 0)], constant_values=border)
    (span_h, stride_h, dilation_h), (span_w, stride_w, dilation_w) = spans
    views = np.lib.stride_tricks.sliding_window_view(padded, (span_h, span_w), (1, 2))
    return views[:, ::stride_h, ::stride_w, :, ::dilation_h, ::dilation_w]


def _convolution(attributes: Mapping[str, Any], operands: list[Array]) -> Array:
    image, weights, *bias = operands
    views = _windows(attributes, image, weights.shape[1:3], 0.0)
    return np.tensordot(views, weights, ([3, 4, 5], [3, 1, 2])) + sum(bias)


def _depthwise(attributes: Mapping[str, Any], operands: list[Array]) -> Array:
    image, weights, *bias = operands
    views = _windows(attributes, image, weights.shape[1:3], 0.0)
    split = weights[0].reshape(*weights.shape[1:3], image.shape[3], -1)
    made = np.einsum("bhwcij,ijcm->bhwcm", views, split, optimize=True)
    return made.reshape(*made.shape[:3], -1) + sum(bias)


def _dense(attributes: Mapping[str, Any], operands: list[Array]) -> Array:
    rows, weights, *bias = operands
    return rows.reshape(-1, weights.shape[1]) @ weights.T + sum(bias)


def _average(attributes: Mapping[str, Any], operands: list[Array]) -> Array:
    window = attributes["filter_h"], attributes["filter_w"]
    views = _windows(attributes, operands[0], window, np.nan)  # the border does not count
    return np.nanmean(views, (4, 5))


def _largest(attributes: Mapping[str, Any], operands: list[Array]) -> Array:
    window = attributes["filter_h"], attributes["filter_w"]
    return _windows(attributes, operands[0], window, -np.inf).max((4, 5))


def _softmax(attributes: Mapping[str, Any], operands: list[Array]) -> Array:
    scaled = operands[0] * attributes["beta"]
    powers = np.exp(scaled - scaled.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


COMPUTE: dict[str, Compute] = {
    "ADD": lambda attributes, x: x[0] + x[1],
    "AVERAGE_POOL_2D": _average,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _dense,
    "HARD_SWISH": lambda attributes, x: x[0] * np.clip(x[0] + 3, 0, 6) / 6,
    "LOGISTIC": lambda attributes, x: np.exp(-np.logaddexp(0, -x[0])),
    "MAX_POOL_2D": _largest,
    "MEAN": lambda attributes, x: x[0].mean(attributes["axis"]),
    "MUL": lambda attributes, x: x[0] * x[1],
    "RESHAPE": lambda attributes, x: x[0],
    "SOFTMAX": _softmax,
}
"""Operator -> what it computes of its attributes and operands, before a fused activation."""
