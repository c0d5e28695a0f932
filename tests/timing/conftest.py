from __future__ import annotations

from pathlib import Path

import pytest

from assay.compiler.build import compile_model
from assay.compiler.config import Config
from assay.data import DIGITS_FP32
from assay.model.reader import read
from assay.timing.record import Contender
from tests.builder import GraphBuilder


@pytest.fixture(scope="session")
def addition(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that compiles in a moment: y = x + x, four numbers."""
    graph = GraphBuilder()
    x = graph.input("x", (1, 4))
    graph.output(graph.op("ADD", [x, x], (1, 4), output="y"))
    path = tmp_path_factory.mktemp("models") / "addition.tflite"
    path.write_bytes(graph.build())
    return path


@pytest.fixture(scope="session")
def library(addition: Path) -> Path:
    """The addition, compiled."""
    path = addition.with_suffix(".so")
    compile_model(read(addition), Config()).save(path)
    return path


@pytest.fixture
def digits() -> Contender:
    """The digit classifier on LiteRT."""
    return Contender("digits", "digits", "litert", DIGITS_FP32)
