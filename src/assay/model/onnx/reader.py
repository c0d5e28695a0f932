"""From an ONNX file to its facts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from assay.model.dtypes import FLOAT_DTYPES
from assay.model.facts import Model, Operator, Precision, Tensor
from assay.model.onnx.load import Loaded, is_default_domain, load_onnx
from assay.model.onnx.macs import PRODUCTS, count_macs
from assay.model.onnx.types import dtype_name
from assay.model.spec import Quantization

_MOVES = ("Reshape", "Transpose", "Identity", "DequantizeLinear", "Squeeze", "Unsqueeze", "Flatten")


def read(path: Path) -> Model:
    """Return the facts of an ``.onnx`` file; see :func:`assay.model.onnx.load.load_onnx`."""
    return _Reader(path, load_onnx(path)).model()


class _Reader:
    """Reads a checked graph. Values are known by names; facts count them in order."""

    def __init__(self, path: Path, loaded: Loaded) -> None:
        self.path = path
        self.loaded = loaded
        self.graph = loaded.proto.graph
        self.constants = {tensor.name: tensor for tensor in self.graph.initializer}
        for node in self.graph.node:
            if node.op_type == "Constant" and node.attribute[0].HasField("t"):
                self.constants[node.output[0]] = node.attribute[0].t
        self.types = _types(loaded.proto)
        self.scales = self._scales()
        names = [port.name for port in self.graph.input]
        names += [tensor.name for tensor in self.graph.initializer]
        names += [name for node in self.graph.node for name in node.output if name]
        self.index = {name: at for at, name in enumerate(dict.fromkeys(names))}
        self.tensors = tuple(self._tensor(name) for name in self.index)

    def model(self) -> Model:
        proto, loaded = self.loaded.proto, self.loaded
        inputs = [port.name for port in self.graph.input if port.name not in self.constants]
        input_indices = tuple(self.index[name] for name in inputs)
        output_indices = tuple(self.index[port.name] for port in self.graph.output)
        operators = self._operators()
        return Model(
            path=self.path,
            sha256=loaded.sha256,
            size_bytes=loaded.size_bytes,
            format="onnx",
            version=loaded.opset,
            description=proto.doc_string,
            precision=_precision(operators, self.tensors),
            inputs=tuple(self.tensors[index].spec for index in input_indices),
            outputs=tuple(self.tensors[index].spec for index in output_indices),
            input_indices=input_indices,
            output_indices=output_indices,
            operators=operators,
            tensors=self.tensors,
            signatures=(),
            metadata=tuple(entry.key for entry in proto.metadata_props),
            subgraphs=1,
        )

    def _tensor(self, name: str) -> Tensor:
        constant = self.constants.get(name)
        if constant is not None:
            shape = tuple(constant.dims)
            dtype = dtype_name(constant.data_type)
        else:
            dtype, shape = self.types.get(name, ("unknown", ()))
        static_shape = tuple(max(size, 1) if size < 0 else size for size in shape)
        return Tensor(
            index=self.index[name],
            name=name,
            shape=shape,
            static_shape=static_shape,
            dtype=dtype,
            quantization=None if dtype in FLOAT_DTYPES else self.scales.get(name),
            is_constant=constant is not None,
            is_variable=False,
            size_bytes=_size_bytes(dtype, math.prod(static_shape)),
        )

    def _scales(self) -> dict[str, Quantization]:
        """Return the quantization of what nodes quantize or dequantize with known scales."""
        found: dict[str, Quantization] = {}
        for node in self.graph.node:
            if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
                name = node.output[0] if node.op_type == "QuantizeLinear" else node.input[0]
                quantization = self._quantization(node)
                if quantization is not None:
                    found.setdefault(name, quantization)
        return found

    def _quantization(self, node: Any) -> Quantization | None:
        from onnx import numpy_helper

        operands = [self.constants.get(name) for name in node.input[1:3]]
        if operands[0] is None:
            return None
        scale = numpy_helper.to_array(operands[0])
        if scale.ndim > 1:
            return None
        scales = tuple(float(value) for value in scale.ravel())
        zero_points = (0,) * len(scales)
        if len(operands) > 1 and operands[1] is not None:
            zero_points = tuple(int(v) for v in numpy_helper.to_array(operands[1]).ravel())
        axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
        if scale.ndim == 0 or len(scales) == 1:
            return Quantization(scales, zero_points)
        data = self.constants.get(node.input[0])
        rank = len(data.dims if data is not None else self.types.get(node.input[0], ("", ()))[1])
        return Quantization(scales, zero_points, axis % rank if rank else 0)

    def _operators(self) -> tuple[Operator, ...]:
        learned: dict[int, int] = {}  # tensor that operators compute from a constant -> constant
        operators = []
        for position, node in enumerate(self.graph.node):
            name = node.op_type if is_default_domain(node.domain) else _qualified(node)
            inputs = tuple(self.index.get(each, -1) for each in node.input)
            outputs = tuple(self.index.get(each, -1) for each in node.output)
            for index in inputs[:1]:
                source = learned.get(index, index)
                if name in _MOVES and index >= 0 and self.tensors[source].is_constant:
                    learned[outputs[0]] = source
            weights = self._weights(name, inputs, learned)
            attributes = {each.name: _plain(each) for each in node.attribute}
            operators.append(
                Operator(
                    index=position,
                    name=name,
                    layer=node.name or (node.output[0] if node.output else ""),
                    inputs=inputs,
                    outputs=outputs,
                    weights=weights,
                    macs=count_macs(name, inputs, outputs, attributes, self.tensors),
                    parameters=sum(self.tensors[index].elements for index in weights),
                    attributes=attributes,
                )
            )
        return tuple(operators)

    def _weights(
        self, name: str, inputs: Sequence[int], learned: Mapping[int, int]
    ) -> tuple[int, ...]:
        """Return the constants that an operator learned: floating-point ones, or quantized."""
        if name in _MOVES or name in ("QuantizeLinear", "Clip", "Resize", "Pad", "Constant"):
            return ()
        sources = (learned.get(index, index) for index in inputs if index >= 0)
        return tuple(
            index
            for index in sources
            if self.tensors[index].is_constant
            and (self.tensors[index].dtype in FLOAT_DTYPES or self.tensors[index].quantization)
            and self.tensors[index].elements > 1
        )


def _types(proto: Any) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return dtype and shape of each value, as far as ONNX infers them; open sizes are -1."""
    import onnx

    try:
        graph = onnx.shape_inference.infer_shapes(proto, data_prop=True).graph
    except Exception:  # what cannot be inferred is told by the compiler, node by node
        graph = proto.graph
    found = {}
    for port in (*graph.input, *graph.value_info, *graph.output):
        tensor = port.type.tensor_type
        dims = tensor.shape.dim if tensor.HasField("shape") else ()
        shape = tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in dims)
        found[port.name] = (dtype_name(tensor.elem_type), shape)
    return found


def _precision(operators: Sequence[Operator], tensors: Sequence[Tensor]) -> Precision:
    """Return the precision of the products: what their activations were before dequantizing."""
    stored = {
        op.outputs[0]: tensors[op.inputs[0]].dtype
        for op in operators
        if op.name == "DequantizeLinear"
    }
    deciding = [op for op in operators if op.name in PRODUCTS] or list(operators)
    found = set()
    for op in deciding:
        pair = [stored.get(index, tensors[index].dtype) for index in op.inputs[:2] if index >= 0]
        activation, weights = pair[0] if pair else "", pair[-1] if pair else ""
        quantized = "int8" if activation == "int8" else "uint8"
        if activation in ("int8", "uint8") and weights in ("int8", "uint8"):
            found.add(quantized)
        elif activation == "float32":
            found.add("dynamic-range" if weights in ("int8", "uint8") else "fp32")
        else:
            found.add("float16" if activation == "float16" else "mixed")
    return found.pop() if len(found) == 1 else "mixed"  # type: ignore[return-value]


def _qualified(node: Any) -> str:
    return f"{node.domain}.{node.op_type}"


def _plain(attribute: Any) -> Any:
    """Return an attribute as numbers and text; the name of its kind for tensors and graphs."""
    from onnx import AttributeProto, helper

    kinds = AttributeProto
    if attribute.type in (kinds.TENSOR, kinds.GRAPH, kinds.SPARSE_TENSOR, kinds.TYPE_PROTO):
        return kinds.AttributeType.Name(attribute.type).lower()
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, (int, float)):
        return value
    return tuple(v.decode(errors="replace") if isinstance(v, bytes) else v for v in value)


def _size_bytes(dtype: str, elements: int) -> int:
    from assay.model.dtypes import DTYPES, dense_bytes

    return (dense_bytes(dtype, elements) or 0) if dtype in DTYPES else 0
