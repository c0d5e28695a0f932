"""What docs/opt-levels.md says of levels, on builds."""

from __future__ import annotations

import pytest

import assay
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


def test_level_4_is_level_3_without_functions_to_approximate(model, tmp_path):
    assert digest(model, tmp_path, opt_level=3) == digest(model, tmp_path, opt_level=4)
