"""Random small networks as TFLite files, each operator also as a file of its own.

A network is a chain of steps; a step knows how to write itself into a graph under construction, so
that the same operator can be run alone on a given input.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

from assay.model.spec import Quantization
from tests.builder import GraphBuilder, per_axis, per_tensor

Shape = tuple[int, ...]
Write = Callable[[GraphBuilder, Sequence[int]], int]

ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")
MOST_ELEMENTS = 20_000
_STD = 40.0  # steps that the result of a quantized product spreads over
_UNIFORM_STD = 73.9  # of int8 values that are all equally likely


@dataclass(frozen=True)
class Value:
    """A tensor of the network."""

    shape: Shape
    quantization: Quantization | None = None

    @property
    def dtype(self) -> str:
        return "float32" if self.quantization is None else "int8"


@dataclass(frozen=True)
class Step:
    """An operator: which earlier values it reads, what it makes, and how to write it.

    ``gain`` bounds how many steps one step of an input's error becomes at the output (INT8).
    """

    name: str
    reads: tuple[int, ...]
    makes: Value
    write: Write
    gain: float = 1.0


@dataclass
class Network:
    """Values are numbered from 0, the input; step i makes value i + 1."""

    given: Value
    steps: list[Step] = field(default_factory=list)

    @property
    def values(self) -> list[Value]:
        return [self.given, *(step.makes for step in self.steps)]

    def __repr__(self) -> str:
        names = " > ".join(f"{s.name}{list(s.reads)}{list(s.makes.shape)}" for s in self.steps)
        return f"{self.given.dtype}{list(self.given.shape)}: {names}"

    def file(self, expose: bool = False) -> bytes:
        """Return the model; its output is the last value, or every one that a step makes."""
        graph = GraphBuilder()
        indices = [_input(graph, "x", self.given)]
        for step in self.steps:
            indices.append(step.write(graph, [indices[i] for i in step.reads]))
        graph.output(*(indices[1:] if expose else indices[-1:]))
        return graph.build()

    def alone(self, step: Step) -> bytes:
        """Return a model of one step, with an input for each value that it reads."""
        graph = GraphBuilder()
        values = self.values
        inputs = [_input(graph, f"x{n}", values[i]) for n, i in enumerate(step.reads)]
        graph.output(step.write(graph, inputs))
        return graph.build()

    def bound(self) -> float:
        """Return how far the last value may be off, in steps, if each operator is by one."""
        bounds = [0.0]
        for step in self.steps:
            bounds.append(1 + step.gain * max(bounds[i] for i in step.reads))
        return bounds[-1]


def networks(quantized: bool, most_steps: int = 4) -> st.SearchStrategy[Network]:
    """Return a strategy for networks of 1 to ``most_steps`` operators."""
    return st.composite(_draw_network)(quantized, most_steps)


def random_input(network: Network, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shape = network.given.shape
    if network.given.quantization is None:
        return rng.uniform(-1, 1, shape).astype(np.float32)
    return rng.integers(-128, 128, shape).astype(np.int8)


def _input(graph: GraphBuilder, name: str, value: Value) -> int:
    return graph.input(name, value.shape, value.dtype, value.quantization)


def _draw_network(draw: Any, quantized: bool, most_steps: int) -> Network:
    shape = (
        draw(st.integers(1, 3)),
        draw(st.integers(1, 17)),
        draw(st.integers(1, 17)),
        draw(st.integers(1, 17)),
    )
    network = Network(Value(shape, draw(_quantization()) if quantized else None))
    for _ in range(draw(st.integers(1, most_steps))):
        value = network.values[-1]
        makers = _IMAGE if len(value.shape) == 4 else _FLAT
        step = draw(st.sampled_from(makers))(draw, network)
        if step is not None and math.prod(step.makes.shape) <= MOST_ELEMENTS:
            network.steps.append(step)
    if not network.steps:
        network.steps.append(_convolution(draw, network))
    return network


def _quantization() -> st.SearchStrategy[Quantization]:
    scales = st.sampled_from([0.007843138, 0.0235, 0.05, 0.11])
    return st.builds(per_tensor, scales, st.integers(-128, 127))


def _rng(draw: Any) -> np.random.Generator:
    return np.random.default_rng(draw(st.integers(0, 2**32 - 1)))


def _window(draw: Any, size: int) -> tuple[int, int, int]:
    """Return kernel size, stride and dilation of one dimension."""
    kernel = draw(st.integers(1, 5))
    stride = draw(st.integers(1, 3))
    dilation = draw(st.integers(1, 3)) if stride == 1 else 1
    return kernel, stride, dilation


def _extent(size: int, kernel: int, stride: int, dilation: int, padding: str) -> int:
    if padding == "SAME":
        return -(-size // stride)
    return (size - (kernel - 1) * dilation - 1) // stride + 1


def _sliding(draw: Any, value: Value) -> tuple[Any, Shape, Shape]:
    """Return options, kernel size and output size of a window that fits."""
    height, width = value.shape[1:3]
    padding = draw(st.sampled_from(["SAME", "VALID"]))
    (kh, sh, dh), (kw, sw, dw) = _window(draw, height), _window(draw, width)
    if dh > 1 or dw > 1:  # LiteRT, like TensorFlow, knows dilation at stride 1 only
        sh = sw = 1
    if padding == "VALID":
        kh, kw = min(kh, (height - 1) // dh + 1), min(kw, (width - 1) // dw + 1)
    size = (_extent(height, kh, sh, dh, padding), _extent(width, kw, sw, dw, padding))
    options = {"padding": padding, "stride_h": sh, "stride_w": sw, "dilation_h": dh}
    return {**options, "dilation_w": dw}, (kh, kw), size


def _convolution(draw: Any, network: Network) -> Step:
    value = network.values[-1]
    options, kernel, size = _sliding(draw, value)
    channels = value.shape[3]
    groups = draw(st.sampled_from([g for g in range(1, channels + 1) if channels % g == 0][:3]))
    out = draw(st.integers(1, max(1, 17 // groups))) * groups
    shape = (out, *kernel, channels // groups)
    return _product(draw, network, "CONV_2D", shape, 0, (value.shape[0], *size, out), options)


def _depthwise(draw: Any, network: Network) -> Step:
    value = network.values[-1]
    options, kernel, size = _sliding(draw, value)
    multiplier = draw(st.integers(1, 3)) if value.shape[3] < 9 else 1
    out = value.shape[3] * multiplier
    options = {**options, "depth_multiplier": multiplier}
    result = (value.shape[0], *size, out)
    return _product(draw, network, "DEPTHWISE_CONV_2D", (1, *kernel, out), 3, result, options)


def _dense(draw: Any, network: Network) -> Step:
    value = network.values[-1]
    out = draw(st.integers(1, 17))
    inner = math.prod(value.shape[1:])
    shape, result = (out, inner), (value.shape[0], out)
    return _product(draw, network, "FULLY_CONNECTED", shape, None, result, {})


def _product(
    draw: Any, network: Network, name: str, shape: Shape, axis: int | None, result: Shape, how: Any
) -> Step:
    """Return a step with weights of a shape; they are per axis if ``axis`` is given."""
    rng = _rng(draw)
    at, value = len(network.steps), network.values[-1]
    options = {**how, "activation": draw(st.sampled_from(ACTIVATIONS))}
    out = result[-1]
    products = math.prod(shape[:3]) if axis == 3 else math.prod(shape[1:])
    with_bias = name != "FULLY_CONNECTED" or draw(st.booleans())  # LiteRT wants one
    if value.quantization is None:
        weights = (rng.uniform(-1, 1, shape) / math.sqrt(products)).astype(np.float32)
        bias = rng.uniform(-0.5, 0.5, out).astype(np.float32)
        weights_as = bias_as = output_as = None
        gain = 1.0
    else:
        weights = rng.integers(-127, 128, shape).astype(np.int8)
        bias = rng.integers(-3000, 3000, out).astype(np.int32)
        scales = rng.uniform(0.002, 0.01, 1 if axis is None else out).astype(np.float32)
        step = value.quantization.scale[0]
        weights_as = per_tensor(float(scales[0])) if axis is None else per_axis(list(scales), axis)
        units = [float(np.float32(step) * s) for s in scales]
        bias_as = per_tensor(units[0]) if axis is None else per_axis(units, 0)
        spread = step * float(scales.mean()) * _UNIFORM_STD**2 * math.sqrt(products)
        output_as = per_tensor(float(np.float32(spread / _STD)), int(rng.integers(-60, 60)))
        other = (0, 1, 2) if axis == 3 else tuple(range(1, len(shape)))
        sums = np.abs(weights.astype(int)).sum(axis=other) * scales
        gain = float(sums.max()) * step / output_as.scale[0]
    made = Value(result, output_as)

    def write(graph: GraphBuilder, inputs: Sequence[int]) -> int:
        w = graph.constant(f"w{at}", weights, weights_as)
        b = graph.constant(f"b{at}", bias, bias_as) if with_bias else -1
        version = 1 if made.quantization is None else 3 if axis is not None else 4
        return graph.op(
            name, [inputs[0], w, b], result, made.dtype, output_as, options=options, version=version
        )

    return Step(name, (at,), made, write, gain)


def _simple(
    name: str, network: Network, result: Shape, options: Any, *constants: np.ndarray
) -> Step:
    """Return a step that keeps type and quantization."""
    at, value = len(network.steps), network.values[-1]
    made = Value(result, value.quantization)

    named = [(f"c{at}_{n}", array) for n, array in enumerate(constants)]
    return Step(name, (at,), made, _writer(name, made, options, named))


def _writer(
    name: str, made: Value, options: Any, constants: Sequence[tuple[str, np.ndarray]] = ()
) -> Write:
    """Return how to write an operator that takes the given inputs, then constants."""
    newer = made.quantization is not None and name != "RESHAPE"

    def write(graph: GraphBuilder, inputs: Sequence[int]) -> int:
        more = [graph.constant(*each) for each in constants]
        return graph.op(
            name,
            [*inputs, *more],
            made.shape,
            made.dtype,
            made.quantization,
            options=options,
            version=2 if newer else 1,
        )

    return write


def _pool(draw: Any, network: Network) -> Step:
    value = network.values[-1]
    options, (kh, kw), size = _sliding(draw, Value(value.shape))
    name = draw(st.sampled_from(["AVERAGE_POOL_2D", "MAX_POOL_2D"]))
    # A window that is dilated is none of TFLite's pools.
    height, width = value.shape[1:3]
    kh, kw = min(kh, height), min(kw, width)
    steps = (options["stride_h"], options["stride_w"])
    size = (
        _extent(height, kh, steps[0], 1, options["padding"]),
        _extent(width, kw, steps[1], 1, options["padding"]),
    )
    how = {
        "padding": options["padding"],
        "stride_h": steps[0],
        "stride_w": steps[1],
        "filter_h": kh,
        "filter_w": kw,
        "activation": draw(st.sampled_from(ACTIVATIONS)),
    }
    return _simple(name, network, (value.shape[0], *size, value.shape[3]), how)


def _pad(draw: Any, network: Network) -> Step:
    value = network.values[-1]
    sides = [(0, 0), *(draw(st.tuples(st.integers(0, 3), st.integers(0, 3))) for _ in range(3))]
    result = tuple(n + a + b for n, (a, b) in zip(value.shape, sides, strict=True))
    return _simple("PAD", network, result, {}, np.int32(sides))


def _reshape(draw: Any, network: Network) -> Step:
    n, h, w, c = network.values[-1].shape
    result = draw(
        st.sampled_from([(n, h * w, 1, c), (n, 1, h, w * c), (n, w, h, c), (n * h, w * c)])
    )
    return _simple("RESHAPE", network, result, {"new_shape": result}, np.int32(result))


def _mean(draw: Any, network: Network) -> Step:
    n, h, w, c = network.values[-1].shape
    keep = draw(st.booleans())
    axes, kept, gone = draw(
        st.sampled_from([((1, 2), (n, 1, 1, c), (n, c)), ((3,), (n, h, w, 1), (n, h, w))])
    )
    result = kept if keep or len(gone) == 3 else gone
    options = {"keep_dims": result == kept}
    return _simple("MEAN", network, result, options, np.int32(axes))


def _softmax(draw: Any, network: Network) -> Step:
    step = _simple("SOFTMAX", network, network.values[-1].shape, {})
    if network.given.quantization is None:
        return step
    at, made = len(network.steps), Value(step.makes.shape, per_tensor(1 / 256, -128))

    def write(graph: GraphBuilder, inputs: Sequence[int]) -> int:
        return graph.op("SOFTMAX", inputs, made.shape, "int8", made.quantization, version=2)

    # d softmax_i / d x_i is at most 1/4, all others together as much.
    gain = 0.5 * network.values[-1].quantization.scale[0] * 256  # type: ignore[union-attr]
    return Step("SOFTMAX", (at,), made, write, gain)


def _add(draw: Any, network: Network) -> Step:
    value, at = network.values[-1], len(network.steps)
    alike = [i for i, other in enumerate(network.values) if other.shape == value.shape]
    other = draw(st.sampled_from(alike))
    options = {"activation": draw(st.sampled_from(ACTIVATIONS))}
    made, gain = value, 2.0
    if value.quantization is not None:
        made = Value(value.shape, draw(_quantization()))
        scales = [network.values[i].quantization.scale[0] for i in (at, other)]  # type: ignore[union-attr]
        gain = sum(scales) / made.quantization.scale[0]  # type: ignore[union-attr]

    return Step("ADD", (at, other), made, _writer("ADD", made, options), gain)


def _concat(draw: Any, network: Network) -> Step:
    value, at = network.values[-1], len(network.steps)
    alike = [
        i
        for i, other in enumerate(network.values)
        if other.shape[:-1] == value.shape[:-1] and other.quantization == value.quantization
    ]
    other = draw(st.sampled_from(alike))
    channels = value.shape[-1] + network.values[other].shape[-1]
    made = Value((*value.shape[:-1], channels), value.quantization)
    options = {"axis": draw(st.sampled_from([-1, len(value.shape) - 1]))}

    return Step("CONCATENATION", (at, other), made, _writer("CONCATENATION", made, options))


_FLAT = (_dense, _softmax, _add, _concat)
_IMAGE = (
    *(_convolution, _convolution, _depthwise, _dense, _pool, _pad),
    *(_add, _concat, _mean, _softmax, _reshape),
)
