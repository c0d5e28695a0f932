"""One-operator TFLite files in every scheme, run on LiteRT's reference kernels and on a build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

import assay
from assay.model.spec import Quantization
from assay.runtimes.tvm import open_build
from tests.builder import GraphBuilder, per_axis, per_tensor
from tests.builder.operators import OPTIONS

_STEPS_3D = {name: 1 for axis in "dhw" for name in (f"stride_{axis}", f"dilation_{axis}_factor")}

# Operators whose options the builder does not know.
OPTIONS.update(
    {
        "CONV_3D": ("Conv3DOptions", {"padding": "SAME", **_STEPS_3D}),
        "REVERSE_SEQUENCE": ("ReverseSequenceOptions", {"seq_dim": 0, "batch_dim": 0}),
        "CUMSUM": ("CumsumOptions", {"exclusive": False, "reverse": False}),
        "FAKE_QUANT": ("FakeQuantOptions", {"min": -1.0, "max": 1.0, "num_bits": 8}),
        "L2_NORMALIZATION": ("L2NormOptions", {"activation": "NONE"}),
        "L2_POOL_2D": OPTIONS["AVERAGE_POOL_2D"],
        "LOCAL_RESPONSE_NORMALIZATION": (
            "LocalResponseNormalizationOptions",
            {"radius": 2, "bias": 1.0, "alpha": 0.5, "beta": 0.75},
        ),
        **dict.fromkeys(("REDUCE_PROD", "REDUCE_ANY", "REDUCE_ALL"), OPTIONS["SUM"]),
    }
)


@dataclass(frozen=True)
class Data:
    """An input in real numbers from ``low`` to ``high``, quantized as the scheme wants it."""

    shape: tuple[int, ...]
    low: float = -1.0
    high: float = 1.0


@dataclass(frozen=True)
class Real:
    """A constant in real numbers, quantized like the first input."""

    value: Any


@dataclass(frozen=True)
class Weights:
    """Constant weights: int8 per axis, or uint8 per tensor."""

    value: Any
    axis: int | None = 0


@dataclass(frozen=True)
class Bias:
    """A constant bias: its unit is the first input's times the weights'."""

    value: Any


@dataclass(frozen=True)
class Float:
    """An input that is float32 in every scheme."""

    shape: tuple[int, ...]


@dataclass(frozen=True)
class Index:
    """An input of integers below ``limit``, the same in every scheme."""

    shape: tuple[int, ...]
    limit: int
    dtype: str = "int32"


@dataclass(frozen=True)
class Case:
    """``operands`` in order: those above, None for one left out, else a constant as it is.

    ``schemes`` names those that the case is for. ``output`` is the type of the outputs, or of each,
    if it is not the data's; ``same`` gives outputs the quantization of the first input, ``fixed``
    one of their own, in int8. ``steps`` is how far raw results may be off. ``optimized`` compares
    with LiteRT's optimized kernel, where the plain one is missing or wrong.
    """

    name: str
    operands: tuple[Any, ...]
    schemes: str = "fp32"
    options: Mapping[str, Any] = field(default_factory=dict)
    outputs: int = 1
    output: str | tuple[str | None, ...] | None = None
    same: bool = False
    fixed: Quantization | None = None
    steps: int = 1
    integer: str = "int32"
    optimized: bool = False
    version: int = 1
    note: str = ""


_BITS = {"int8": 8, "uint8": 8, "int16": 16}
QUANTIZED = tuple(_BITS)


def quantization(scheme: str, low: float, high: float) -> Quantization:
    """Return parameters for a range; int16 has zero point 0 and a power of two as scale."""
    if scheme == "int16":
        largest = max(abs(low), abs(high))
        return per_tensor(float(2.0 ** np.ceil(np.log2(largest / 32767))))
    low, high = min(low, 0.0), max(high, 1e-3)
    scale = np.float32((high - low) / 255)
    zero_point = int(np.clip(np.round(-low / scale), 0, 255))
    return per_tensor(float(scale), zero_point - 128 if scheme == "int8" else zero_point)


def raw(value: Any, dtype: str, q: Quantization) -> np.ndarray:
    """Quantize an array; per-axis parameters lie along their axis."""
    array, limits = np.asarray(value, np.float64), np.iinfo(dtype)
    shape = [1] * array.ndim
    if q.axis is not None:
        shape[q.axis] = -1
    scale, zero = (np.reshape(v, shape if array.ndim else ()) for v in (q.scale, q.zero_point))
    return np.clip(np.round(array / scale) + zero, limits.min, limits.max).astype(dtype)


class Problem:
    """A case in one scheme: the file, random inputs, and what LiteRT makes of them."""

    def __init__(self, case: Case, scheme: str, seed: int = 0) -> None:
        self.case, self.scheme = case, scheme
        self.rng = np.random.default_rng(seed)
        self.feeds: list[np.ndarray] = []
        shapes = [()] * case.outputs
        quantized = scheme in QUANTIZED
        limits: list[Quantization | None] = [None] * case.outputs
        types = case.output if isinstance(case.output, tuple) else (case.output,) * case.outputs
        self.types = [self._dtype() if each is None else each for each in types]
        if quantized:
            pairs = zip(self._limits(), self.types, strict=True)
            limits = [q if dtype == scheme else None for q, dtype in pairs]
        # LiteRT knows the shapes of the outputs as soon as it has run.
        first = self._build(shapes, limits)
        shapes = [result.shape for result in self._run(first)]
        self.data = self._build(shapes, limits)
        self.expected = self._run(self.data)
        if scheme == "dynamic-range":
            # LiteRT rounds the activations to int8 on the fly; here they stay float.
            on_the_fly, self.scheme = self.expected, "widened"
            self.expected = self._run(self._build(shapes, limits))
            self.scheme = scheme
            for rounded, exact in zip(on_the_fly, self.expected, strict=True):
                np.testing.assert_allclose(rounded, exact, rtol=0, atol=0.02 * np.ptp(exact))

    def with_input(self) -> bytes:
        """Return the file with another input in front: a model without any cannot be read."""
        graph = self._graph
        graph.input("unused", (1,))
        return graph.build()

    def operands(self) -> list[np.ndarray]:
        """Return all operands in order, fed ones and constants."""
        graph, fed = self._graph, iter(self.feeds)
        values = []
        for index in graph.operators[0].inputs:
            tensor = graph.tensors[index]
            if tensor.data is None:
                values.append(next(fed))
            else:
                values.append(np.frombuffer(tensor.data, tensor.dtype).reshape(tensor.shape))
        return values

    def _run(self, data: bytes) -> list[np.ndarray]:
        return reference(data, self.feeds, self.case.optimized)

    def _limits(self) -> list[Quantization | None]:
        case, scheme = self.case, self.scheme
        if scheme not in self.types:
            return [None] * case.outputs
        if case.same:
            data = next(o for o in case.operands if isinstance(o, Data))
            return [quantization(scheme, data.low, data.high)] * case.outputs
        if case.fixed is not None:
            scale, zero = case.fixed.scale[0], case.fixed.zero_point[0]
            if scheme == "int16":
                return [per_tensor(2.0**-15)] * case.outputs
            return [per_tensor(scale, zero + 128 * (scheme == "uint8"))] * case.outputs
        real = Problem(case, "fp32")
        return [quantization(scheme, float(r.min()), float(r.max())) for r in real.expected]

    def _build(self, shapes: list[tuple[int, ...]], limits: list[Quantization | None]) -> bytes:
        self.rng = np.random.default_rng(1)
        self.feeds = []
        self._graph = graph = GraphBuilder()
        self._units: list[np.ndarray] = []
        inputs = [self._operand(graph, f"x{i}", o) for i, o in enumerate(self.case.operands)]
        outputs = [
            graph.tensor(f"y{i}", *facts)
            for i, facts in enumerate(zip(shapes, self.types, limits, strict=True))
        ]
        graph.multi_op(
            self.case.name, inputs, outputs, options=self.case.options, version=self.case.version
        )
        graph.output(*outputs)
        return graph.build()

    def _dtype(self) -> str:
        if self.scheme in QUANTIZED:
            return self.scheme
        return self.case.integer if self.scheme == "integer" else "float32"

    def _operand(self, graph: GraphBuilder, name: str, operand: Any) -> int:
        if operand is None:
            return -1
        if isinstance(operand, Data):
            return self._data(graph, name, operand)
        if isinstance(operand, Index):
            self.feeds.append(self.rng.integers(0, operand.limit, operand.shape, operand.dtype))
            return graph.input(name, operand.shape, operand.dtype)
        if isinstance(operand, Float):
            self.feeds.append(self.rng.normal(size=operand.shape).astype(np.float32))
            return graph.input(name, operand.shape)
        if isinstance(operand, Real):
            return self._real(graph, name, operand)
        if isinstance(operand, Weights):
            return self._weights(graph, name, operand)
        if isinstance(operand, Bias):
            return self._bias(graph, name, operand)
        return graph.constant(name, operand)

    def _data(self, graph: GraphBuilder, name: str, data: Data) -> int:
        dtype = self._dtype()
        if self.scheme in QUANTIZED:
            q = quantization(self.scheme, data.low, data.high)
            self._units.append(np.asarray(q.scale))
            limits = np.iinfo(dtype)
            low, high = (int(raw(edge, dtype, q)) for edge in (data.low, data.high))
            assert limits.min <= low < high <= limits.max
            self.feeds.append(self.rng.integers(low, high + 1, data.shape, dtype))
            return graph.input(name, data.shape, dtype, q)
        if self.scheme == "integer":
            low, high = int(data.low * 10), int(data.high * 10)
            self.feeds.append(self.rng.integers(low, high + 1, data.shape).astype(dtype))
        else:
            self.feeds.append(self.rng.uniform(data.low, data.high, data.shape).astype(dtype))
        return graph.input(name, data.shape, dtype)

    def _real(self, graph: GraphBuilder, name: str, real: Real) -> int:
        if self.scheme not in QUANTIZED:
            return graph.constant(name, np.asarray(real.value, self._dtype()))
        data = next(o for o in self.case.operands if isinstance(o, Data))
        q = quantization(self.scheme, data.low, data.high)
        return graph.constant(name, raw(real.value, self.scheme, q), q)

    def _weights(self, graph: GraphBuilder, name: str, weights: Weights) -> int:
        value = np.asarray(weights.value, np.float32)
        if self.scheme == "fp32":
            return graph.constant(name, value)
        if self.scheme == "uint8":
            q = quantization("uint8", float(value.min()), float(value.max()))
            dtype = "uint8"
        else:
            axes = tuple(d for d in range(value.ndim) if d != weights.axis)
            largest = np.abs(value).max(axes if weights.axis is not None else None)
            scales = np.atleast_1d(largest / 127).astype(np.float32)
            q = (
                per_tensor(float(scales[0]))
                if weights.axis is None
                else per_axis(scales, weights.axis)
            )
            dtype = "int8"
        self._units.append(np.asarray(q.scale))
        stored = raw(value, dtype, q)
        if self.scheme == "widened":
            along = [-1 if d == q.axis else 1 for d in range(value.ndim)]
            real = stored * np.reshape(q.scale, along if q.axis is not None else ())
            return graph.constant(name, real.astype(np.float32))
        return graph.constant(name, stored, q)

    def _bias(self, graph: GraphBuilder, name: str, bias: Bias) -> int:
        value = np.asarray(bias.value, np.float32)
        if self.scheme not in QUANTIZED:
            return graph.constant(name, value)
        unit = np.prod(np.broadcast_arrays(*self._units), axis=0)
        dtype = "int64" if self.scheme == "int16" else "int32"
        q = per_axis(unit, 0) if len(unit) > 1 else per_tensor(float(unit[0]))
        return graph.constant(name, np.round(value / unit).astype(dtype), q)


def reference(data: bytes, feeds: list[np.ndarray], optimized: bool = False) -> list[np.ndarray]:
    """Run a file on LiteRT's plain loops, or its optimized kernels; without a delegate."""
    plain, fast = OpResolverType.BUILTIN_REF, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(
        model_content=data, experimental_op_resolver_type=fast if optimized else plain
    )
    interpreter.allocate_tensors()
    for detail, value in zip(interpreter.get_input_details(), feeds, strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    return [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]


def compiled(path: Path, feeds: list[np.ndarray], **choices: Any) -> list[np.ndarray]:
    """Compile a file and run it."""
    result = open_build(assay.compile(path, **{"opt_level": 1, **choices}))(*feeds)
    return list(result) if isinstance(result, tuple) else [result]


def check(problem: Problem, actual: list[np.ndarray]) -> None:
    """Compare with LiteRT: float to 1e-5 of the range, quantized to the case's steps."""
    for ours, theirs in zip(actual, problem.expected, strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.shape == theirs.shape
        if theirs.dtype == np.float32:
            scale = max(float(np.abs(theirs).max()), 1e-6) if theirs.size else 1.0
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * scale)
        elif problem.case.steps and problem.scheme in QUANTIZED and theirs.dtype != bool:
            difference = np.abs(ours.astype(np.int64) - theirs.astype(np.int64))
            assert difference.max(initial=0) <= problem.case.steps, f"{difference.max()} steps"
        else:
            np.testing.assert_array_equal(ours, theirs)
