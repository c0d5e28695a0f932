"""A node that is spelled by others, and the graph around it. No TVM here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from assay.compiler.frontend.onnx.folding import known_shapes

_AXES_ARE_OPERANDS = 18  # of reductions, from this operator set on; of ReduceSum from 13 on

BOOL, FLOAT, DOUBLE, UINT8, INT8, INT32 = 9, 1, 11, 2, 3, 6
"""Types of tensors, by their numbers in ONNX's TensorProto."""

_FLOATS = (FLOAT, DOUBLE, 10, 16)  # also float16 and bfloat16


class Surroundings:
    """What is known of a graph whose shapes were inferred."""

    def __init__(self, part: Any) -> None:
        graph = part.graph
        self.graph = graph
        self.opset = next(each.version for each in part.opset_import if not each.domain)
        self.constants = {each.name: each for each in graph.initializer}
        self.shapes = known_shapes(graph)
        self.shapes |= {name: tuple(each.dims) for name, each in self.constants.items()}
        ports = (*graph.input, *graph.value_info, *graph.output)
        self.types = {each.name: each.type.tensor_type.elem_type for each in ports}
        self.types |= {name: each.data_type for name, each in self.constants.items()}


class Site:
    """One node: what it says, and a place for those that stand for it."""

    def __init__(self, around: Surroundings, node: Any) -> None:
        self.node = node
        self._around = around
        self._graph = around.graph
        self._prefix = f"{node.output[0] or node.name}/{node.op_type}"
        self._attributes = {each.name: each for each in node.attribute}
        self._count = 0

    @property
    def opset(self) -> int:
        """The operator set of the graph."""
        return self._around.opset

    def operand(self, position: int) -> str:
        """Return the name of an operand, '' if it is left out."""
        return str(self.node.input[position]) if position < len(self.node.input) else ""

    def result(self, position: int) -> str:
        """Return the name of a result, '' if nobody asks for it."""
        return str(self.node.output[position]) if position < len(self.node.output) else ""

    def attribute(self, name: str, default: Any) -> Any:
        """Return the value of an attribute; strings come as bytes."""
        from onnx import helper

        found = self._attributes.get(name)
        return default if found is None else helper.get_attribute_value(found)

    def attributes_but(self, *names: str) -> dict[str, Any]:
        """Return all attributes except some."""
        return {name: self.attribute(name, None) for name in self._attributes if name not in names}

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Return the static shape of a value, None if it is open."""
        return self._around.shapes.get(name)

    def static(self, name: str) -> tuple[int, ...]:
        """Return a shape that is known to be static."""
        return self._around.shapes[name]

    def is_float(self, name: str) -> bool:
        """Tell whether a value is in floating point."""
        return self._around.types.get(name, FLOAT) in _FLOATS

    def type(self, name: str) -> int:
        """Return the type of a value, by its number in ONNX; float32 if it was not inferred."""
        return int(self._around.types.get(name, 0) or FLOAT)

    def value(self, name: str) -> Any:
        """Return a constant as an array, None if it is computed at run time."""
        from onnx import numpy_helper

        found = self._around.constants.get(name)
        return None if found is None else numpy_helper.to_array(found)

    def add(self, kind: str, *inputs: str, into: str = "", **attributes: Any) -> str:
        """Add a node and return the name of what it makes, ``into`` if that is given."""
        from onnx import helper

        self._count += 1
        name = into or f"{self._prefix}:{self._count}"
        made = helper.make_node(kind, inputs, [name], self._prefix, self.node.doc_string)
        made.attribute.extend(
            helper.make_attribute(key, value) for key, value in attributes.items()
        )
        self._graph.node.append(made)
        return name

    def keep(self) -> None:
        """Add the node itself, with all its results."""
        self._graph.node.append(self.node)

    def same(self, kind: str, *inputs: str, into: str = "") -> str:
        """Add a node with the attributes of the one that is replaced."""
        name = self.add(kind, *inputs, into=into)
        self._graph.node[-1].attribute.extend(self.node.attribute)
        return name

    def constant(self, value: Any) -> str:
        """Add a constant, an array or NumPy scalar, and return its name."""
        from onnx import numpy_helper

        self._count += 1
        name = f"{self._prefix}:{self._count}"
        self._graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def like(self, name: str, value: Any) -> str:
        """Add a constant in the type of another value."""
        from onnx import helper

        return self.constant(np.asarray(value, helper.tensor_dtype_to_np_dtype(self.type(name))))

    def ints(self, *values: int) -> str:
        """Add a constant of int64 values, as shapes and axes are."""
        return self.constant(np.array(values, np.int64))

    def mean(self, x: str, axes: Sequence[int]) -> str:
        """Add a mean that keeps its axes."""
        if self._around.opset < _AXES_ARE_OPERANDS:
            return self.add("ReduceMean", x, axes=list(axes))
        return self.add("ReduceMean", x, self.ints(*axes))

    def part(self, x: str, axis: int, start: int, end: int) -> str:
        """Add a slice along an axis."""
        return self.add("Slice", x, self.ints(start), self.ints(end), self.ints(axis))

    def dequantized(self, first: int, axis: int) -> str:
        """Return an operand in real numbers; its scale and zero point are the next ones."""
        return self.add("DequantizeLinear", *(self.operand(first + i) for i in range(3)), axis=axis)
