from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.builder import GraphBuilder


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Write the model of a graph, or its bytes, to a file and return the path."""

    def write(content: bytes | GraphBuilder, name: str = "model.tflite") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.build())
        return path

    return write
