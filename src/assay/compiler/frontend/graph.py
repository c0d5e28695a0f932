"""A file as TVM's importer is to see it: another batch, other borders, names that are unique.

The importer keys tensors by name and reads shapes, types and quantization off the file. These
views stand in for the classes of the package ``tflite`` and answer from ``Tensors`` instead.
"""
# ruff: noqa: N802, D102 - the accessors are named like the generated ones that they override

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import tflite

from assay.model.access import constant_bytes
from assay.model.dtypes import DTYPES
from assay.model.facts import Model, Tensor
from assay.model.tables import parse

Array = npt.NDArray[Any]


class Tensors:
    """The tensors of a graph while it is imported: facts as they stand, and known values.

    Shapes start as the file's, with ``batch`` for an open first dimension of an input, and follow
    the operators from there. Values of four bits are unpacked to int8.
    """

    def __init__(self, data: bytes, model: Model, batch: int) -> None:
        self._data = data
        self.batch = batch
        self._file = parse(data)
        self._packed = {tensor.index for tensor in model.tensors if tensor.dtype == "int4"}
        self._facts = {
            tensor.index: replace(tensor, dtype="int8") if tensor.dtype == "int4" else tensor
            for tensor in model.tensors
        }
        self._values: dict[int, Array] = {}
        for index in model.input_indices:
            shape = self._facts[index].shape
            if shape and shape[0] == -1:
                self.reshape(index, (batch, *self._facts[index].static_shape[1:]))

    def __getitem__(self, index: int) -> Tensor:
        return self._facts[index]

    def __setitem__(self, index: int, tensor: Tensor) -> None:
        self._facts[index] = tensor

    def reshape(self, index: int, shape: tuple[int, ...]) -> None:
        """Note the shape that a tensor has in this import."""
        self._facts[index] = replace(self._facts[index], static_shape=shape)

    def know(self, index: int, value: Array) -> None:
        """Note the value of a tensor that was computed from constants."""
        self._values[index] = value
        self.reshape(index, value.shape)

    def value(self, index: int) -> Array | None:
        """Return the value of a constant or of a tensor that became known, None for any other."""
        if index not in self._values and self._facts[index].is_constant:
            self._values[index] = self._read(index)
        return self._values.get(index)

    def _read(self, index: int) -> Array:
        fact = self._facts[index]
        if fact.elements == 0:
            return np.empty(fact.static_shape, fact.dtype)
        raw = constant_bytes(self._file, self._file.subgraphs[0].tensors[index], self._data)
        if index in self._packed:
            flat = _unpack_int4(np.frombuffer(raw, np.uint8), fact.elements)
        else:
            flat = np.frombuffer(raw, fact.dtype)
        return flat.reshape(fact.static_shape)


def _unpack_int4(packed: npt.NDArray[np.uint8], elements: int) -> npt.NDArray[np.int8]:
    """Return two values of four bits from each byte, the low half first."""
    halves = np.stack([packed << 4, packed & 0xF0], axis=1).astype(np.uint8).view(np.int8) >> 4
    return halves.ravel()[:elements]


class FileView(tflite.Model):
    """A model file whose main graph is the one that is imported."""

    def __init__(self, data: bytes, model: Model, tensors: Tensors) -> None:
        root = tflite.Model.GetRootAs(data, 0)
        self.Init(root._tab.Bytes, root._tab.Pos)
        self._main = GraphView(root.Subgraphs(0), model, tensors)

    def Subgraphs(self, j: int) -> Any:
        return self._main if j == 0 else super().Subgraphs(j)


class GraphView(tflite.SubGraph):
    """A graph with the inputs and outputs of ``model``, which may be cut out of the file's."""

    def __init__(self, graph: tflite.SubGraph, model: Model, tensors: Tensors) -> None:
        self.Init(graph._tab.Bytes, graph._tab.Pos)
        self._inputs = np.asarray(model.input_indices, np.int32)
        self._outputs = np.asarray(model.output_indices, np.int32)
        self._tensors = tensors

    def Inputs(self, j: int) -> int:
        return int(self._inputs[j])

    def InputsLength(self) -> int:
        return len(self._inputs)

    def InputsAsNumpy(self) -> Array:
        return self._inputs

    def OutputsAsNumpy(self) -> Array:
        return self._outputs

    def Tensors(self, j: int) -> TensorView:
        return TensorView(super().Tensors(j), self._tensors[j])


class TensorView(tflite.Tensor):
    """A tensor with a name of its own, and the shape and type that it has in this import."""

    def __init__(self, tensor: tflite.Tensor, fact: Tensor) -> None:
        self.Init(tensor._tab.Bytes, tensor._tab.Pos)
        self._fact = fact

    def Name(self) -> bytes:
        return f"{self._fact.name}:{self._fact.index}".encode()

    def Type(self) -> int:
        return DTYPES.index(self._fact.dtype)

    def Shape(self, j: int) -> int:
        return self._fact.static_shape[j]

    def ShapeLength(self) -> int:
        return len(self._fact.static_shape)

    def ShapeAsNumpy(self) -> Array:
        return np.asarray(self._fact.static_shape, np.int32)
