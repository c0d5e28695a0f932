from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from assay.model.facts import Model
from assay.model.reader import read
from tests.builder import GraphBuilder, build_model


@pytest.fixture
def read_graph(tmp_path: Path) -> Callable[..., Model]:
    """Build graphs into one file, ``net.tflite``, and read its facts."""

    def reader(*graphs: GraphBuilder, **facts: object) -> Model:
        path = tmp_path / "net.tflite"
        path.write_bytes(build_model(*graphs, **facts))
        return read(path)

    return reader
