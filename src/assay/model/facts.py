"""What a model file says, as frozen dataclasses."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from assay.model.spec import Argument, Quantization, TensorSpec

Precision = Literal["fp32", "int8", "uint8", "int16x8", "dynamic-range", "float16", "mixed"]


@dataclass(frozen=True)
class Tensor:
    """One tensor of the graph. ``dtype`` is a NumPy name; a dynamic dimension is -1.

    ``static_shape`` is the shape the file gives as long as nobody resizes the inputs: converters
    write 1 for a dynamic dimension. ``size_bytes`` is what a constant takes in the file, and what
    any other tensor takes in memory (0 where the type has no fixed size, such as string).
    """

    index: int
    name: str
    shape: tuple[int, ...]
    static_shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None
    is_constant: bool
    is_variable: bool
    size_bytes: int

    @property
    def elements(self) -> int:
        """Number of elements of the static shape."""
        return math.prod(self.static_shape)

    @property
    def spec(self) -> TensorSpec:
        """The part of these facts that a caller of the model needs."""
        return TensorSpec(self.name, self.shape, self.dtype, self.quantization)


@dataclass(frozen=True)
class Operator:
    """One operator, in execution order.

    ``name`` is TFLite's builtin name (``CONV_2D``) or ``CUSTOM:<code>``, or ONNX's (``Conv``), with
    the domain before it if that is not ONNX's own; ``layer`` the name of the node, if it has one,
    or of the first output tensor. ``inputs`` and ``outputs`` are tensor indices, -1 standing for an
    optional input that is left out. ``weights`` are the constant tensors it learned (see
    :func:`assay.model.macs.weights_of`) and ``parameters`` their elements. ``macs`` counts
    multiply-accumulate operations of one inference (see :func:`assay.model.macs.count_macs`).
    """

    index: int
    name: str
    layer: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    weights: tuple[int, ...]
    macs: int
    parameters: int
    attributes: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Signature:
    """A named way to call the model: argument and result names, each with its tensor index."""

    key: str
    subgraph: int
    inputs: Mapping[str, int] = field(hash=False)
    outputs: Mapping[str, int] = field(hash=False)


def border_specs(
    tensors: Sequence[Tensor],
    indices: Iterable[int],
    signatures: Iterable[Signature],
    side: Literal["inputs", "outputs"],
) -> tuple[TensorSpec, ...]:
    """Return what a caller needs of tensors, with their names in signatures of the first subgraph.

    ``side`` says whether those of arguments or of results count.
    """
    arguments: dict[int, list[Argument]] = defaultdict(list)
    for signature in signatures:
        if signature.subgraph == 0:
            for name, index in getattr(signature, side).items():
                arguments[index].append(Argument(signature.key, name))
    return tuple(replace(tensors[i].spec, arguments=tuple(arguments[i])) for i in indices)


@dataclass(frozen=True)
class Model:
    """The facts of a model file. Tensors and operators are those of the first subgraph.

    ``version`` is that of TFLite's schema, or of ONNX's operator set.
    """

    path: Path
    sha256: str
    size_bytes: int
    format: Literal["tflite", "onnx"]
    version: int
    description: str
    precision: Precision
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    input_indices: tuple[int, ...]
    output_indices: tuple[int, ...]
    operators: tuple[Operator, ...]
    tensors: tuple[Tensor, ...]
    signatures: tuple[Signature, ...]
    metadata: tuple[str, ...]
    subgraphs: int

    @property
    def name(self) -> str:
        """The file's name without directory and suffix."""
        return self.path.stem

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations of one inference."""
        return sum(operator.macs for operator in self.operators)

    @property
    def parameters(self) -> int:
        """Learned values; a tensor that several operators share counts once."""
        shared = {index for operator in self.operators for index in operator.weights}
        return sum(self.tensors[index].elements for index in shared)

    @property
    def op_counts(self) -> dict[str, int]:
        """How often each operator occurs, the most frequent first."""
        return dict(Counter(operator.name for operator in self.operators).most_common())
