"""Writes small ONNX files byte by byte (protobuf wire format, field numbers of onnx.proto)."""

from collections.abc import Sequence

ELEMENT_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int64": 7, "string": 8, "float16": 10}

Dim = int | str
Port = tuple[str, str, Sequence[Dim]]  # name, dtype, shape: a number, a symbol, or "" for unknown


def node(op: str, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """A NodeProto without attributes."""
    names = [_text(1, name) for name in inputs] + [_text(2, name) for name in outputs]
    return b"".join(names) + _text(4, op)


def model(nodes: Sequence[bytes], inputs: Sequence[Port], outputs: Sequence[Port]) -> bytes:
    """A ModelProto of one graph, IR version 8, operator set 17."""
    graph = b"".join(_message(1, each) for each in nodes) + _text(2, "graph")
    graph += b"".join(_message(11, _value_info(*port)) for port in inputs)
    graph += b"".join(_message(12, _value_info(*port)) for port in outputs)
    return _number(1, 8) + _message(7, graph) + _message(8, _text(1, "") + _number(2, 17))


def _value_info(name: str, dtype: str, shape: Sequence[Dim]) -> bytes:
    dims = b"".join(_message(1, _dim(dim)) for dim in shape)
    tensor = _number(1, ELEMENT_TYPES[dtype]) + _message(2, dims)
    return _text(1, name) + _message(2, _message(1, tensor))


def _dim(dim: Dim) -> bytes:
    if isinstance(dim, int):
        return _number(1, dim)
    return _text(2, dim) if dim else b""


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _text(field: int, value: str) -> bytes:
    return _message(field, value.encode())


def _message(field: int, payload: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])
