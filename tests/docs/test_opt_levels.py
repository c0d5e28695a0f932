"""What docs/opt-levels.md says of levels, on builds."""

from __future__ import annotations

import numpy as np
import pytest

import assay
from tests.builder import GraphBuilder
from tests.docs.test_log import float_network


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "float.tflite"
    path.write_bytes(float_network())
    return path


def digest(model, folder, **choices):
    return assay.compile(model, **choices).save(folder / "model.so").library_sha256


def test_tvms_own_levels_1_to_4_give_the_same_library(model, tmp_path):
    levels = [digest(model, tmp_path, pipeline="stock", opt_level=level) for level in range(5)]
    assert levels[1] == levels[2] == levels[3] == levels[4]
    assert levels[0] != levels[1]


def test_levels_of_assay_differ(model, tmp_path):
    levels = [digest(model, tmp_path, layout="nchw", opt_level=level) for level in range(4)]
    assert len(set(levels)) == 4


def convolution_network() -> bytes:
    """A 3x3 convolution with enough channels for Winograd's algorithm to pay."""
    graph = GraphBuilder()
    x = graph.input("x", (1, 32, 32, 128))
    w = graph.constant("w", np.ones((128, 3, 3, 128), np.float32))
    b = graph.constant("b", np.zeros(128, np.float32))
    graph.output(graph.op("CONV_2D", [x, w, b], (1, 32, 32, 128)))
    return graph.build()


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_level_4_approximates(tmp_path, layout):
    path = tmp_path / "model.tflite"
    path.write_bytes(convolution_network())
    exact, approximate = (digest(path, tmp_path, layout=layout, opt_level=o) for o in (3, 4))
    assert exact != approximate
