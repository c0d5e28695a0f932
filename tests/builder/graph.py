"""A graph under construction; tensors are handled by their index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from assay.model.spec import Quantization

Shape = tuple[int, ...]


def per_tensor(scale: float, zero_point: int = 0) -> Quantization:
    return Quantization((scale,), (zero_point,))


def per_axis(
    scales: Sequence[float], axis: int, zero_points: Sequence[int] | None = None
) -> Quantization:
    zeros = tuple(zero_points) if zero_points is not None else (0,) * len(scales)
    return Quantization(tuple(float(s) for s in scales), zeros, axis)


@dataclass
class TensorDef:
    name: str
    shape: Shape
    dtype: str
    quantization: Quantization | None = None
    data: bytes | None = None
    shape_signature: Shape | None = None
    variable: bool = False
    appended: bytes | None = None


@dataclass
class OperatorDef:
    name: str
    inputs: list[int]
    outputs: list[int]
    options: Mapping[str, Any] = field(default_factory=dict)
    custom_options: bytes = b""
    version: int = 1


@dataclass
class SignatureDef:
    key: str
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]


class GraphBuilder:
    """Collects tensors and operators in execution order.

    Every method that makes a tensor returns its index, which ``op`` takes among its inputs; -1 is
    an optional input left out. Nothing is checked, so that broken files can be built, too.
    """

    def __init__(self, name: str = "main") -> None:
        self.name = name
        self.tensors: list[TensorDef] = []
        self.operators: list[OperatorDef] = []
        self.inputs: list[int] = []
        self.outputs: list[int] = []
        self.signatures: list[SignatureDef] = []

    def tensor(
        self,
        name: str,
        shape: Shape,
        dtype: str = "float32",
        quantization: Quantization | None = None,
        *,
        data: bytes | None = None,
        shape_signature: Shape | None = None,
        variable: bool = False,
        appended: bytes | None = None,
    ) -> int:
        """Add a tensor that an operator will write, or a constant from raw bytes.

        ``appended`` is a constant that goes behind the FlatBuffer, as in files above 2 GB.
        """
        self.tensors.append(
            TensorDef(
                name, tuple(shape), dtype, quantization, data, shape_signature, variable, appended
            )
        )
        return len(self.tensors) - 1

    def input(
        self,
        name: str,
        shape: Shape,
        dtype: str = "float32",
        quantization: Quantization | None = None,
        shape_signature: Shape | None = None,
    ) -> int:
        """Add an input of the model; ``shape_signature`` holds -1 where a size is dynamic."""
        index = self.tensor(name, shape, dtype, quantization, shape_signature=shape_signature)
        self.inputs.append(index)
        return index

    def constant(self, name: str, value: Any, quantization: Quantization | None = None) -> int:
        """Add a constant with the shape, dtype and content of an array."""
        array = np.asarray(value)
        data = np.ascontiguousarray(array).tobytes()
        return self.tensor(name, array.shape, str(array.dtype), quantization, data=data)

    def op(
        self,
        name: str,
        inputs: Sequence[int],
        shape: Shape,
        dtype: str = "float32",
        quantization: Quantization | None = None,
        *,
        output: str | None = None,
        options: Mapping[str, Any] | None = None,
        custom_options: bytes = b"",
        version: int = 1,
        shape_signature: Shape | None = None,
    ) -> int:
        """Add an operator with one output and return that.

        ``name`` is a builtin name or ``CUSTOM:<code>``. ``options`` override the defaults in
        tests/builder/operators.py; enumerations and types are given by name.
        """
        label = output or f"{name.lower()}_{len(self.operators)}"
        index = self.tensor(label, shape, dtype, quantization, shape_signature=shape_signature)
        self.multi_op(
            name, inputs, [index], options=options, custom_options=custom_options, version=version
        )
        return index

    def multi_op(
        self,
        name: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        *,
        options: Mapping[str, Any] | None = None,
        custom_options: bytes = b"",
        version: int = 1,
    ) -> None:
        """Add an operator that writes tensors made by ``tensor``."""
        self.operators.append(
            OperatorDef(name, list(inputs), list(outputs), options or {}, custom_options, version)
        )

    def output(self, *tensors: int) -> None:
        """Make tensors outputs of the model, in that order."""
        self.outputs.extend(tensors)

    def signature(self, key: str, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> None:
        """Name a way to call the model."""
        self.signatures.append(SignatureDef(key, inputs, outputs))

    def build(self, **facts: Any) -> bytes:
        """Return the file; ``facts`` are those of :func:`tests.builder.encode.build_model`."""
        from tests.builder.encode import build_model

        return build_model(self, **facts)
