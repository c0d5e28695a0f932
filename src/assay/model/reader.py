"""From a model file to its facts; the reader of TFLite."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tflite

from assay.model.access import constant_bytes, ints, is_constant, operator_name, text
from assay.model.dtypes import DTYPES, FLOAT_DTYPES, dense_bytes
from assay.model.facts import Model, Operator, Signature, Tensor
from assay.model.macs import count_macs, stored_constants, weights_of
from assay.model.options import attributes_of
from assay.model.precision import classify
from assay.model.source import load
from assay.model.spec import Quantization
from assay.model.verify import verify

_ATTRIBUTE_ELEMENTS = 64  # operands that are attributes are one number a dimension, or two


def read(path: str | os.PathLike[str]) -> Model:
    """Return the facts of a ``.tflite`` or ``.onnx`` file, once it is verified.

    Raises ModelError if the file is missing, unreadable, of another kind, or damaged, and
    MissingDependencyError for an ``.onnx`` file if the package that reads it is not installed.
    """
    file = Path(path)
    if file.suffix.lower() == ".onnx":
        from assay.model.onnx.reader import read as read_onnx

        return read_onnx(file)
    data = load(file)
    verify(file, data)
    return _Reader(file, data).model()


class _Reader:
    """Reads verified bytes: every offset, index and size in them is known to be good."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.path = path
        self.data = data
        self.root = tflite.Model.GetRootAs(data, 0)
        self.graph = self.root.Subgraphs(0)
        self.inputs = ints(self.graph.InputsAsNumpy())
        self.outputs = ints(self.graph.OutputsAsNumpy())
        self.nodes = [self.graph.Operators(i) for i in range(self.graph.OperatorsLength())]
        self.edges = [(ints(n.InputsAsNumpy()), ints(n.OutputsAsNumpy())) for n in self.nodes]
        self.computed = set(self.inputs).union(*(outputs for _, outputs in self.edges))
        self.tensors = tuple(self._tensor(i) for i in range(self.graph.TensorsLength()))

    def model(self) -> Model:
        root = self.root
        operators, source = self._operators()
        return Model(
            path=self.path,
            sha256=hashlib.sha256(self.data).hexdigest(),
            size_bytes=len(self.data),
            format="tflite",
            version=root.Version(),
            description=text(root.Description()),
            precision=classify(operators, self.tensors, source),
            inputs=tuple(self.tensors[i].spec for i in self.inputs),
            outputs=tuple(self.tensors[i].spec for i in self.outputs),
            input_indices=self.inputs,
            output_indices=self.outputs,
            operators=operators,
            tensors=self.tensors,
            signatures=_each(self._signature, root.SignatureDefsLength()),
            metadata=_each(lambda i: text(root.Metadata(i).Name()), root.MetadataLength()),
            subgraphs=root.SubgraphsLength(),
        )

    def _tensor(self, index: int) -> Tensor:
        tensor = self.graph.Tensors(index)
        dtype = DTYPES[tensor.Type()]
        static_shape = ints(tensor.ShapeAsNumpy())
        # The buffer of a constant without elements, such as the shape of a scalar, is empty.
        empty = 0 in static_shape and index not in self.computed
        constant = empty or is_constant(self.root, tensor)
        if constant:
            size_bytes = len(constant_bytes(self.root, tensor, self.data))
        else:
            size_bytes = dense_bytes(dtype, math.prod(static_shape)) or 0
        return Tensor(
            index=index,
            name=text(tensor.Name()),
            shape=ints(tensor.ShapeSignatureAsNumpy()) or static_shape,
            static_shape=static_shape,
            dtype=dtype,
            quantization=None if dtype in FLOAT_DTYPES else _quantization(tensor),
            is_constant=constant,
            is_variable=tensor.IsVariable(),
            size_bytes=size_bytes,
        )

    def _constant_ints(self, index: int) -> tuple[int, ...] | None:
        if index < 0 or not self.tensors[index].is_constant:
            return None
        tensor = self.tensors[index]
        if tensor.dtype not in ("int32", "int64") or tensor.elements > _ATTRIBUTE_ELEMENTS:
            return None
        raw = constant_bytes(self.root, self.graph.Tensors(index), self.data)
        if len(raw) != dense_bytes(tensor.dtype, tensor.elements):
            return None  # sparse
        return tuple(np.frombuffer(raw, tensor.dtype).tolist())

    def _operators(self) -> tuple[tuple[Operator, ...], dict[int, int]]:
        names = [operator_name(self.root, node) for node in self.nodes]
        named = [(name, *edge) for name, edge in zip(names, self.edges, strict=True)]
        source = stored_constants(named, self.tensors)
        operators = []
        for index, (name, inputs, outputs) in enumerate(named):
            attributes = attributes_of(name, self.nodes[index], inputs, self._constant_ints)
            weights = weights_of(name, inputs, self.tensors, source)
            operators.append(
                Operator(
                    index=index,
                    name=name,
                    layer=self.tensors[outputs[0]].name if outputs else "",
                    inputs=inputs,
                    outputs=outputs,
                    weights=weights,
                    macs=count_macs(name, inputs, outputs, attributes, self.tensors),
                    parameters=sum(self.tensors[i].elements for i in weights),
                    attributes=attributes,
                )
            )
        return tuple(operators), source

    def _signature(self, index: int) -> Signature:
        table = self.root.SignatureDefs(index)
        inputs = (table.Inputs(i) for i in range(table.InputsLength()))
        outputs = (table.Outputs(i) for i in range(table.OutputsLength()))
        return Signature(
            key=text(table.SignatureKey()),
            subgraph=table.SubgraphIndex(),
            inputs={text(entry.Name()): entry.TensorIndex() for entry in inputs},
            outputs={text(entry.Name()): entry.TensorIndex() for entry in outputs},
        )


def _quantization(tensor: tflite.Tensor) -> Quantization | None:
    table = tensor.Quantization()
    if table is None or table.ScaleLength() == 0:
        return None
    scale = tuple(float(value) for value in table.ScaleAsNumpy())
    zero_point = ints(table.ZeroPointAsNumpy()) or (0,) * len(scale)
    axis = table.QuantizedDimension() if len(scale) > 1 else None
    return Quantization(scale, zero_point, axis)


def _each(function: Callable[[int], Any], count: int) -> tuple[Any, ...]:
    return tuple(function(index) for index in range(count))
