"""From a TFLite file to its facts."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tflite

from assay.model.dtypes import DTYPES, FLOAT_DTYPES, dense_bytes
from assay.model.facts import Model, Operator, Signature, Tensor
from assay.model.macs import count_macs, stored_constants, weights_of
from assay.model.options import attributes_of
from assay.model.precision import classify
from assay.model.source import load
from assay.model.spec import Quantization

_BUILTIN: dict[int, str] = {
    code: name for name, code in vars(tflite.BuiltinOperator).items() if name.isupper()
}
_ATTRIBUTE_ELEMENTS = 64  # operands that are attributes are one number a dimension, or two


def read(path: str | os.PathLike[str]) -> Model:
    """Return the facts of a ``.tflite`` file.

    Raises ModelError if the file is missing, unreadable, or of another kind.
    """
    file = Path(path)
    return _Reader(file, load(file)).model()


class _Reader:
    """Reads the tables of one file, top down."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.path = path
        self.data = data
        self.root = tflite.Model.GetRootAs(data, 0)
        self.graph = self.root.Subgraphs(0)
        self.tensors = tuple(self._tensor(i) for i in range(self.graph.TensorsLength()))

    def model(self) -> Model:
        root, graph = self.root, self.graph
        operators, source = self._operators()
        inputs, outputs = _ints(graph.InputsAsNumpy()), _ints(graph.OutputsAsNumpy())
        return Model(
            path=self.path,
            sha256=hashlib.sha256(self.data).hexdigest(),
            size_bytes=len(self.data),
            format="tflite",
            version=root.Version(),
            description=_text(root.Description()),
            precision=classify(operators, self.tensors, source),
            inputs=tuple(self.tensors[i].spec for i in inputs),
            outputs=tuple(self.tensors[i].spec for i in outputs),
            input_indices=inputs,
            output_indices=outputs,
            operators=operators,
            tensors=self.tensors,
            signatures=_each(self._signature, root.SignatureDefsLength()),
            metadata=_each(lambda i: _text(root.Metadata(i).Name()), root.MetadataLength()),
            subgraphs=root.SubgraphsLength(),
        )

    def _tensor(self, index: int) -> Tensor:
        tensor = self.graph.Tensors(index)
        dtype = DTYPES[tensor.Type()]
        static_shape = _ints(tensor.ShapeAsNumpy())
        constant = self._constant_bytes(tensor)
        if constant is None:
            size_bytes = dense_bytes(dtype, math.prod(static_shape)) or 0
        else:
            size_bytes = len(constant)
        return Tensor(
            index=index,
            name=_text(tensor.Name()),
            shape=_ints(tensor.ShapeSignatureAsNumpy()) or static_shape,
            static_shape=static_shape,
            dtype=dtype,
            quantization=None if dtype in FLOAT_DTYPES else _quantization(tensor),
            is_constant=constant is not None,
            is_variable=tensor.IsVariable(),
            size_bytes=size_bytes,
        )

    def _constant_bytes(self, tensor: tflite.Tensor) -> memoryview | None:
        """Return what the file holds of a tensor, inside the FlatBuffer or appended after it."""
        if tensor.Buffer() == 0:
            return None
        buffer = self.root.Buffers(tensor.Buffer())
        if buffer.DataLength() > 0:
            return memoryview(buffer.DataAsNumpy())
        if buffer.Offset() > 1:  # 1 is a placeholder: the schema wants a file offset above that
            return memoryview(self.data)[buffer.Offset() : buffer.Offset() + buffer.Size()]
        return None

    def _constant_ints(self, index: int) -> tuple[int, ...] | None:
        if index < 0 or not self.tensors[index].is_constant:
            return None
        tensor = self.tensors[index]
        if tensor.dtype not in ("int32", "int64") or tensor.elements > _ATTRIBUTE_ELEMENTS:
            return None
        raw = self._constant_bytes(self.graph.Tensors(index))
        return None if raw is None else tuple(np.frombuffer(raw, tensor.dtype).tolist())

    def _operators(self) -> tuple[tuple[Operator, ...], dict[int, int]]:
        tables = [self.graph.Operators(i) for i in range(self.graph.OperatorsLength())]
        names = [self._name(table) for table in tables]
        edges = [(_ints(t.InputsAsNumpy()), _ints(t.OutputsAsNumpy())) for t in tables]
        named = [(name, *edge) for name, edge in zip(names, edges, strict=True)]
        source = stored_constants(named, self.tensors)
        operators = []
        for index, (table, (name, inputs, outputs)) in enumerate(zip(tables, named, strict=True)):
            attributes = attributes_of(name, table, inputs, self._constant_ints)
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

    def _name(self, operator: tflite.Operator) -> str:
        code = self.root.OperatorCodes(operator.OpcodeIndex())
        # Files from before 2020 hold the number in a field of one byte only.
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        if builtin == tflite.BuiltinOperator.CUSTOM:
            return f"CUSTOM:{_text(code.CustomCode())}"
        return _BUILTIN.get(builtin, f"BUILTIN_{builtin}")

    def _signature(self, index: int) -> Signature:
        table = self.root.SignatureDefs(index)
        inputs = (table.Inputs(i) for i in range(table.InputsLength()))
        outputs = (table.Outputs(i) for i in range(table.OutputsLength()))
        return Signature(
            key=_text(table.SignatureKey()),
            subgraph=table.SubgraphIndex(),
            inputs={_text(entry.Name()): entry.TensorIndex() for entry in inputs},
            outputs={_text(entry.Name()): entry.TensorIndex() for entry in outputs},
        )


def _quantization(tensor: tflite.Tensor) -> Quantization | None:
    table = tensor.Quantization()
    if table is None or table.ScaleLength() == 0:
        return None
    scale = tuple(float(value) for value in table.ScaleAsNumpy())
    zero_point = _ints(table.ZeroPointAsNumpy()) or (0,) * len(scale)
    axis = table.QuantizedDimension() if len(scale) > 1 else None
    return Quantization(scale, zero_point, axis)


def _ints(vector: Any) -> tuple[int, ...]:
    """Return a vector of the file as int; the generated accessors give 0 for an absent one."""
    return () if isinstance(vector, int) else tuple(vector.tolist())


def _each(function: Callable[[int], Any], count: int) -> tuple[Any, ...]:
    return tuple(function(index) for index in range(count))


def _text(value: bytes | None) -> str:
    return "" if value is None else str(value, "utf-8")
