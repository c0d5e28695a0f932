"""Inputs of contenders, and how far their outputs are apart."""

from __future__ import annotations

import math

import numpy as np
import pytest

from assay.data import DIGITS_INT8
from assay.model.spec import Quantization, TensorSpec
from assay.runtimes.registry import open_runtime
from assay.timing.workload import difference, random_inputs, sample_outputs

SCALE = Quantization((0.5,), (3,))


def test_inputs_fit_and_repeat():
    specs = (
        TensorSpec("a", (2, 3), "float32"),
        TensorSpec("b", (50, 100), "int8", SCALE),
        TensorSpec("c", (50, 100), "uint8", SCALE),
        TensorSpec("d", (4,), "int32"),
        TensorSpec("e", (), "bool"),
        TensorSpec("f", (5,), "float16"),
    )
    first, again, other = (random_inputs(specs, seed) for seed in (1, 1, 2))
    for spec, value, same in zip(specs, first, again, strict=True):
        assert (value.shape, str(value.dtype)) == (spec.shape, spec.dtype)
        np.testing.assert_array_equal(value, same)
    assert not np.array_equal(first[0], other[0])
    assert (first[1].min(), first[1].max()) == (-128, 127)
    assert (first[2].min(), first[2].max()) == (0, 255)
    assert not first[3].any(), "an index that may be out of range"


def test_outputs_are_real_numbers():
    runtime = open_runtime("litert", DIGITS_INT8)
    runtime.set_input(0, np.zeros(runtime.inputs[0].shape, np.int8))
    runtime.run()
    ((spec,), (found,)) = runtime.outputs, sample_outputs(runtime)
    scale, zero = spec.quantization.scale[0], spec.quantization.zero_point[0]
    expected = (runtime.get_output().astype(float) - zero) * scale
    np.testing.assert_allclose(found, expected.ravel(), rtol=1e-6)


class Fake:
    """A runtime with outputs that no model here has."""

    outputs = (TensorSpec("large", (3000,), "float32"), TensorSpec("text", (1,), "object"))

    def get_output(self, index):
        return (np.arange(3000, dtype=np.float32), np.array(["x"], object))[index]


def test_large_outputs_are_sampled_from_end_to_end_and_text_is_left_out():
    large, text = sample_outputs(Fake())
    assert len(large) == 512
    assert (large[0], large[-1]) == (0, 2999)
    assert text == []


@pytest.mark.parametrize(
    ("outputs", "reference", "expected"),
    [
        ([[1.0, 2.0]], [[1.0, 2.0]], 0),
        ([[1.0, 3.0, 5.0]], [[1.0, 3.0, 9.0]], 4 / 3 / 8),
        ([[0.0, 4.0], [0.0, 2.0]], [[0.0, 4.0], [0.0, 4.0]], 0.25),
        ([[2.0, 2.0]], [[2.0, 2.0]], 0),
        ([[2.0, 3.0]], [[2.0, 2.0]], 1),
        ([[1.0]], [[1.0, 2.0]], 1),
        ([], [[1.0]], 1),
        ([], [], 0),
        ([[]], [[]], 0),
        ([[1.0, math.nan]], [[1.0, math.nan]], 0),
        ([[1.0, math.inf, 3.0]], [[1.0, math.inf, 5.0]], 1 / 4),
        ([[1.0, math.inf]], [[1.0, -math.inf]], 1),
        ([[1.0, math.nan]], [[1.0, 2.0]], 1),
    ],
)
def test_difference_as_a_share_of_the_range(outputs, reference, expected):
    assert difference(outputs, reference) == pytest.approx(expected)
