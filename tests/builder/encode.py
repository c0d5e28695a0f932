"""From graphs to the bytes of a TFLite file, by the schema's generated functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
import tflite

from tests.builder.graph import GraphBuilder, OperatorDef, SignatureDef, TensorDef
from tests.builder.operators import ACTIVATION, MIRROR, OPTIONS, PADDING, SCHEMA_NAMES

_BYTE_MAX = 127  # operator numbers above this do not fit the field of old files
_ALIGNMENT = 16  # of constants, in bytes, as the schema demands
_CUSTOM = tflite.BuiltinOperator.CUSTOM


def build_model(
    *graphs: GraphBuilder,
    description: str = "",
    metadata: Mapping[str, bytes] | None = None,
    version: int = 3,
) -> bytes:
    """Return the TFLite file with these subgraphs, the first being the main one."""
    facts = (graphs, description, metadata or {}, version)
    draft = _Encoder(behind=_ALIGNMENT).model(
        *facts
    )  # to learn the size, which offsets don't change
    encoder = _Encoder(behind=len(draft) + -len(draft) % _ALIGNMENT)
    data = encoder.model(*facts)
    return data.ljust(encoder.behind, b"\0") + encoder.appended if encoder.appended else data


class _Encoder:
    def __init__(self, behind: int) -> None:
        self.builder = flatbuffers.Builder(1024)
        self.buffers: list[bytes | tuple[int, int]] = [b""]  # buffer 0 is empty by convention
        self.behind = behind  # where in the file the appended constants start
        self.appended = b""
        self.codes: list[tuple[str, int]] = []

    def model(
        self,
        graphs: Sequence[GraphBuilder],
        description: str,
        metadata: Mapping[str, bytes],
        version: int,
    ) -> bytes:
        subgraphs = self._tables([self._subgraph(graph) for graph in graphs])
        signatures = self._tables(
            [
                self._signature(signature, index)
                for index, graph in enumerate(graphs)
                for signature in graph.signatures
            ]
        )
        entries = self._tables([self._metadata(*entry) for entry in metadata.items()])
        codes = self._tables([self._code(*code) for code in self.codes])
        buffers = self._tables([self._buffer(data) for data in self.buffers])
        root = self._table(
            "Model",
            Version=version,
            OperatorCodes=codes,
            Subgraphs=subgraphs,
            Description=self._string(description),
            Buffers=buffers,
            Metadata=entries if metadata else None,
            SignatureDefs=signatures if any(graph.signatures for graph in graphs) else None,
        )
        self.builder.Finish(root, file_identifier=b"TFL3")
        return bytes(self.builder.Output())

    def _subgraph(self, graph: GraphBuilder) -> int:
        tensors = self._tables([self._tensor(tensor) for tensor in graph.tensors])
        operators = self._tables([self._operator(operator) for operator in graph.operators])
        return self._table(
            "SubGraph",
            Tensors=tensors,
            Inputs=self._vector(graph.inputs),
            Outputs=self._vector(graph.outputs),
            Operators=operators,
            Name=self._string(graph.name),
        )

    def _tensor(self, tensor: TensorDef) -> int:
        signature = tensor.shape_signature
        return self._table(
            "Tensor",
            Shape=self._vector(tensor.shape),
            Type=_type_number(tensor.dtype),
            Buffer=self._tensor_buffer(tensor),
            Name=self._string(tensor.name),
            Quantization=self._quantization(tensor),
            IsVariable=tensor.variable,
            ShapeSignature=None if signature is None else self._vector(signature),
            HasRank=True,
        )

    def _quantization(self, tensor: TensorDef) -> int | None:
        quantization = tensor.quantization
        if quantization is None:
            return None
        return self._table(
            "QuantizationParameters",
            Scale=self._vector(quantization.scale, np.float32),
            ZeroPoint=self._vector(quantization.zero_point, np.int64),
            QuantizedDimension=quantization.axis or 0,
        )

    def _operator(self, operator: OperatorDef) -> int:
        code = (operator.name, operator.version)
        if code not in self.codes:
            self.codes.append(code)
        kind, options = self._options(operator)
        return self._table(
            "Operator",
            OpcodeIndex=self.codes.index(code),
            Inputs=self._vector(operator.inputs),
            Outputs=self._vector(operator.outputs),
            BuiltinOptionsType=kind,
            BuiltinOptions=options,
            CustomOptions=self._bytes(operator.custom_options) if operator.custom_options else None,
        )

    def _options(self, operator: OperatorDef) -> tuple[int, int | None]:
        if operator.name not in OPTIONS:
            return 0, None
        table, defaults = OPTIONS[operator.name]
        fields = {**defaults, **operator.options}
        encoded = {_schema_name(name): self._option(value) for name, value in fields.items()}
        return getattr(tflite.BuiltinOptions, table), self._table(table, **encoded)

    def _option(self, value: Any) -> Any:
        if isinstance(value, str):
            for names in (PADDING, ACTIVATION, MIRROR):
                if value in names:
                    return names[value]
            return _type_number(value)
        return self._vector(value) if isinstance(value, tuple | list) else value

    def _code(self, name: str, version: int) -> int:
        custom = name.removeprefix("CUSTOM:") if name.startswith("CUSTOM:") else None
        number = _CUSTOM if custom is not None else getattr(tflite.BuiltinOperator, name)
        return self._table(
            "OperatorCode",
            DeprecatedBuiltinCode=min(number, _BYTE_MAX),
            CustomCode=None if custom is None else self._string(custom),
            Version=version,
            BuiltinCode=number,
        )

    def _signature(self, signature: SignatureDef, subgraph: int) -> int:
        return self._table(
            "SignatureDef",
            Inputs=self._tables([self._tensor_map(*entry) for entry in signature.inputs.items()]),
            Outputs=self._tables([self._tensor_map(*entry) for entry in signature.outputs.items()]),
            SignatureKey=self._string(signature.key),
            SubgraphIndex=subgraph,
        )

    def _tensor_map(self, name: str, index: int) -> int:
        return self._table("TensorMap", Name=self._string(name), TensorIndex=index)

    def _metadata(self, name: str, data: bytes) -> int:
        return self._table("Metadata", Name=self._string(name), Buffer=self._add_buffer(data))

    def _tensor_buffer(self, tensor: TensorDef) -> int:
        if tensor.appended is not None:
            offset = self.behind + len(self.appended)
            self.appended += tensor.appended + bytes(-len(tensor.appended) % _ALIGNMENT)
            return self._add_buffer((offset, len(tensor.appended)))
        return 0 if tensor.data is None else self._add_buffer(tensor.data)

    def _buffer(self, content: bytes | tuple[int, int]) -> int:
        if isinstance(content, tuple):
            return self._table("Buffer", Offset=content[0], Size=content[1])
        return self._table("Buffer", Data=self._bytes(content) if content else None)

    def _add_buffer(self, data: bytes | tuple[int, int]) -> int:
        self.buffers.append(data)
        return len(self.buffers) - 1

    def _table(self, table: str, **fields: Any) -> int:
        """Write a table; its strings, vectors and tables must have been written before."""
        getattr(tflite, f"{table}Start")(self.builder)
        for name, value in fields.items():
            if value is not None:
                add: Callable[..., None] = getattr(tflite, f"{table}Add{name}")
                add(self.builder, value)
        return int(getattr(tflite, f"{table}End")(self.builder))

    def _tables(self, offsets: Sequence[int]) -> int:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return int(self.builder.EndVector())

    def _vector(self, values: Sequence[Any], dtype: Any = np.int32) -> int:
        return int(self.builder.CreateNumpyVector(np.asarray(values, dtype)))

    def _bytes(self, data: bytes) -> int:
        """Write the content of a buffer, aligned."""
        self.builder.StartVector(1, len(data), _ALIGNMENT)
        self.builder.head -= len(data)
        self.builder.Bytes[self.builder.head : self.builder.head + len(data)] = data
        return int(self.builder.EndVector())

    def _string(self, text: str) -> int:
        return int(self.builder.CreateString(text))


def _type_number(dtype: str) -> int:
    return int(getattr(tflite.TensorType, dtype.upper()))


def _schema_name(field: str) -> str:
    return SCHEMA_NAMES.get(field, "".join(part.capitalize() for part in field.split("_")))
