"""From a model file to its facts; the reader of TFLite."""

from __future__ import annotations

import hashlib
import math
import os
from pathlib import Path

from assay.model.access import constant_bytes, is_constant, operator_name
from assay.model.dtypes import DTYPES, FLOAT_DTYPES, dense_bytes
from assay.model.facts import Model, Operator, Signature, Tensor, border_specs
from assay.model.macs import count_macs, stored_constants, weights_of
from assay.model.options import attributes_of
from assay.model.precision import classify
from assay.model.source import load
from assay.model.spec import Quantization
from assay.model.tables import Table
from assay.model.verify import verified

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
    return _Reader(file, data, verified(file, data)).model()


class _Reader:
    """Reads a verified file: every index and size in it is known to be good."""

    def __init__(self, path: Path, data: bytes, root: Table) -> None:
        self.path = path
        self.data = data
        self.root = root
        self.graph = root.subgraphs[0]
        self.inputs, self.outputs = tuple(self.graph.inputs), tuple(self.graph.outputs)
        self.nodes = self.graph.operators
        self.edges = [(tuple(node.inputs), tuple(node.outputs)) for node in self.nodes]
        self.computed = set(self.inputs).union(*(outputs for _, outputs in self.edges))
        self.tensors = tuple(self._tensor(i) for i in range(len(self.graph.tensors)))

    def model(self) -> Model:
        root = self.root
        operators, source = self._operators()
        signatures = tuple(_signature(table) for table in root.signature_defs)
        return Model(
            path=self.path,
            sha256=hashlib.sha256(self.data).hexdigest(),
            size_bytes=len(self.data),
            format="tflite",
            version=root.version,
            description=root.description,
            precision=classify(operators, self.tensors, source),
            inputs=border_specs(self.tensors, self.inputs, signatures, "inputs"),
            outputs=border_specs(self.tensors, self.outputs, signatures, "outputs"),
            input_indices=self.inputs,
            output_indices=self.outputs,
            operators=operators,
            tensors=self.tensors,
            signatures=signatures,
            metadata=tuple(entry.name for entry in root.metadata),
            subgraphs=len(root.subgraphs),
        )

    def _tensor(self, index: int) -> Tensor:
        tensor = self.graph.tensors[index]
        dtype = DTYPES[tensor.type]
        static_shape = tuple(tensor.shape)
        # The buffer of a constant without elements, such as the shape of a scalar, is empty.
        empty = 0 in static_shape and index not in self.computed
        constant = empty or is_constant(self.root, tensor)
        if constant:
            size_bytes = len(constant_bytes(self.root, tensor, self.data))
        else:
            size_bytes = dense_bytes(dtype, math.prod(static_shape)) or 0
        return Tensor(
            index=index,
            name=tensor.name,
            shape=tuple(tensor.shape_signature) or static_shape,
            static_shape=static_shape,
            dtype=dtype,
            quantization=None if dtype in FLOAT_DTYPES else _quantization(tensor),
            is_constant=constant,
            is_variable=tensor.is_variable,
            size_bytes=size_bytes,
        )

    def _constant_ints(self, index: int) -> tuple[int, ...] | None:
        if index < 0 or not self.tensors[index].is_constant:
            return None
        tensor = self.tensors[index]
        if tensor.dtype not in ("int32", "int64") or tensor.elements > _ATTRIBUTE_ELEMENTS:
            return None
        raw = constant_bytes(self.root, self.graph.tensors[index], self.data)
        if len(raw) != dense_bytes(tensor.dtype, tensor.elements):
            return None  # sparse
        return tuple(raw.cast("i" if tensor.dtype == "int32" else "q"))

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


def _signature(table: Table) -> Signature:
    return Signature(
        key=table.signature_key,
        subgraph=table.subgraph_index,
        inputs={entry.name: entry.tensor_index for entry in table.inputs},
        outputs={entry.name: entry.tensor_index for entry in table.outputs},
    )


def _quantization(tensor: Table) -> Quantization | None:
    table = tensor.quantization
    if table is None or len(table.scale) == 0:
        return None
    scale = tuple(table.scale)
    zero_point = tuple(table.zero_point) or (0,) * len(scale)
    axis = table.quantized_dimension if len(scale) > 1 else None
    return Quantization(scale, zero_point, axis)
