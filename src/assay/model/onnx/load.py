"""From an ONNX file, and files of weights beside it, to a checked ModelProto."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.errors import MissingDependencyError, ModelError
from assay.model.damage import Damage, shortened
from assay.model.onnx.external import Beside
from assay.model.source import content, shown

OPSETS = range(13, 23)
"""Versions of the default operator set that assay reads."""

_DEFAULT_DOMAINS = ("", "ai.onnx")

_WITHDRAWN = ("GroupNormalization",)  # in sets 18 to 20; it has another form since
_UNCHECKED = "assay.unchecked"


@dataclass(frozen=True)
class Loaded:
    """A ModelProto that holds all of its weights; the hash and bytes of all files it came from."""

    proto: Any
    opset: int
    sha256: str
    size_bytes: int


def load_onnx(path: Path) -> Loaded:
    """Parse a file, take in external data, and check the whole.

    Raises ModelError if the file is missing, truncated, damaged, of another kind or of an operator
    set outside of ``OPSETS``, or if external data is missing or lies outside of the file's folder;
    MissingDependencyError if the ``onnx`` package is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingDependencyError(
            f"{shown(path)} is an ONNX model, and the onnx package is not installed: "
            "pip install 'assay[onnx]'"
        ) from error
    from google.protobuf.message import DecodeError

    name = shown(path)
    data = content(path, ".onnx")
    try:
        proto = onnx.ModelProto.FromString(data)
    except DecodeError as error:
        raise ModelError(
            f"{name} is no ONNX model, or is truncated; fetch the file again"
        ) from error
    digest = hashlib.sha256(data)
    beside = Beside(path.parent, digest)
    try:
        opset = _opset(proto)
        for tensor in tensors(proto.graph):
            beside.take_in(tensor)
            _check_tensor(tensor)
        _check(proto)
    except Damage as damage:
        raise ModelError(f"{name} is damaged: {damage.what}; {damage.remedy}") from damage
    if opset not in OPSETS:
        raise ModelError(
            f"{name} uses operator set {opset}, and assay reads {OPSETS[0]} to {OPSETS[-1]}; "
            "export it for one of these, or convert it with onnx.version_converter"
        )
    return Loaded(proto, opset, digest.hexdigest(), len(data) + beside.size_bytes)


def tensors(graph: Any) -> Iterator[Any]:
    """Yield the tensors that a graph holds: initializers, attributes, those of its branches."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for branch in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from tensors(branch)


def is_default_domain(domain: str) -> bool:
    """Tell whether an operator belongs to ONNX itself."""
    return domain in _DEFAULT_DOMAINS


def _opset(proto: Any) -> int:
    if not proto.graph.node and not proto.graph.output:
        raise Damage("it holds no graph")
    versions = [each.version for each in proto.opset_import if is_default_domain(each.domain)]
    if not versions:
        raise Damage("it names no version of the operator set")
    return int(versions[0])


def _check_tensor(tensor: Any) -> None:
    """Check that a tensor's values fit its type and shape."""
    from onnx import numpy_helper

    what = f"tensor {shortened(tensor.name)}"
    if tensor.HasField("segment") or any(size < 0 for size in tensor.dims):
        raise Damage(f"{what} has no valid shape")
    try:
        numpy_helper.to_array(tensor)
    except Exception as error:  # TypeError, ValueError, KeyError: whatever does not fit
        raise Damage(f"the values of {what} do not fit its type and shape") from error


def _check(proto: Any) -> None:
    """Check names, order of nodes, attributes and types with ONNX's own checker."""
    import onnx

    try:
        with _withdrawn_elsewhere(proto):
            # A second serialized copy: what has other domains is checked as far as ONNX knows it.
            onnx.checker.check_model(proto)
    except Exception as error:  # ValidationError, or ValueError above 2 GB
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise Damage(lines[0][:200] if lines else type(error).__name__) from error


@contextmanager
def _withdrawn_elsewhere(proto: Any) -> Iterator[None]:
    """Move operators that the checker refuses, as they were withdrawn, to a domain of their own.

    Converters wrote them all the same, and ONNX Runtime runs them.
    """
    nodes = [
        node
        for node in proto.graph.node
        if node.op_type in _WITHDRAWN and is_default_domain(node.domain)
    ]
    domains = [node.domain for node in nodes]
    proto.opset_import.add(domain=_UNCHECKED, version=1)
    try:
        for node in nodes:
            node.domain = _UNCHECKED
        yield
    finally:
        for node, domain in zip(nodes, domains, strict=True):
            node.domain = domain
        del proto.opset_import[-1]
