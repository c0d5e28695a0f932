from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.builder import GraphBuilder, per_tensor


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Write bytes, or the model of a graph, to a file and return its path."""

    def write(content: bytes | GraphBuilder, name: str = "model.tflite") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.build())
        return path

    return write


@pytest.fixture
def several() -> GraphBuilder:
    """Inputs (a, z, b) and outputs (a - z, a - z - b, a - z), in an order unlike the file's."""
    graph = GraphBuilder()
    z, b, a = (graph.tensor(name, (1, 3)) for name in ("z", "b", "a"))
    graph.inputs = [a, z, b]
    difference = graph.op("SUB", [a, z], (1, 3), output="difference")
    rest = graph.op("SUB", [difference, b], (1, 3), output="rest")
    graph.output(difference, rest, difference)
    return graph


@pytest.fixture
def doubling() -> GraphBuilder:
    """An int8 model, y = 2 * x in real numbers: the scales differ by two, the raw values do not."""
    graph = GraphBuilder()
    x = graph.input("x", (1, 4), "int8", per_tensor(0.5, 3))
    graph.output(graph.op("ADD", [x, x], (1, 4), "int8", per_tensor(1.0, 3), output="y"))
    return graph
