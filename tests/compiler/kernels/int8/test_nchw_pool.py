"""Pooling in NCHW gives what it gives in NHWC's definition."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels.int8.nchw import pool
from tests.compiler.kernels.int8.harness import ARM_SDOT, MAIN_TARGETS, TARGETS, assembly, isa, run
from tests.compiler.kernels.int8.harness import stored as random_bytes
from tests.compiler.kernels.int8.test_pool import expected, pooling


def planes(problem):
    return replace(problem, geometry=replace(problem.geometry, layout="NCHW"))


def check(problem, text, parallel=1):
    nchw = planes(problem)
    assert pool.applicable(nchw)
    x = random_bytes(np.random.default_rng(0), *problem.geometry.input_shape)
    function = pool.generate(nchw, isa(text), "kernel", parallel)
    inputs = [np.ascontiguousarray(np.moveaxis(x, 3, 1))]
    actual = run(function, text, inputs, nchw.geometry.output_shape)
    np.testing.assert_array_equal(np.moveaxis(actual, 1, 3), expected(problem, x))
    return function


CASES = {
    "2x2, odd columns": (7, 9, 3, 2, 2),
    "same padding": (5, 70, 2, 3, 1, "same", 2),
    "same padding, stride 2": (9, 140, 2, 3, 2, "same"),
    "window over half of the image": (12, 12, 5, 7, 1, "same"),
    "whole image": (7, 7, 20, 7),
    "oblong": (9, 5, 2, (4, 1), 3),
    "one row": (1, 33, 2, (1, 5), (1, 3), "same"),
    "rows of many bands": (70, 700, 1, 2, 1),
}


@pytest.mark.parametrize("text", MAIN_TARGETS)
@pytest.mark.parametrize("kind", ["max", "average"])
@pytest.mark.parametrize("case", CASES)
def test_every_byte_is_as_defined(text, kind, case):
    check(pooling(kind, *CASES[case], low=30, high=220), text)


@pytest.mark.parametrize("text", MAIN_TARGETS)
def test_averages_of_uint8_models_round_half_up(text):
    check(pooling("average", 6, 6, 4, 2, 2, signed=False), text)


@pytest.mark.parametrize("kind", ["max", "average"])
def test_threads_share_planes(kind):
    function = check(pooling(kind, 64, 64, 128, 3, 1, "same"), "native", 3)
    assert "T.parallel" in function.script()


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    text=st.sampled_from(TARGETS),
    kind=st.sampled_from(["max", "average"]),
    size=st.tuples(st.integers(4, 9), st.integers(4, 90)),
    channels=st.integers(1, 5),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.sampled_from(["same", "valid"]),
    signed=st.booleans(),
)
def test_any_small_problem(text, kind, size, channels, kernel, stride, padding, signed):
    check(pooling(kind, *size, channels, kernel, stride, padding, signed=signed), text)


def test_dilated_windows():
    problem = pooling("max", 11, 40, 2, 3)
    geometry = replace(problem.geometry, dilation_h=2, dilation_w=3, out_h=9, out_w=36, pad_top=1)
    geometry = replace(geometry, layout="NCHW", pad_left=1)
    x = random_bytes(np.random.default_rng(0), *geometry.input_shape)
    function = pool.generate(replace(problem, geometry=geometry), isa("native"), "kernel")
    padded = np.zeros((1, 2, 20, 60), np.uint8)
    padded[:, :, 1:12, 1:41] = x
    wanted = np.max(
        [padded[:, :, 2 * i : 2 * i + 9, 3 * j : 3 * j + 36] for i in range(3) for j in range(3)], 0
    )
    np.testing.assert_array_equal(run(function, "native", [x], geometry.output_shape), wanted)


def test_what_is_left_to_others():
    assert not pool.applicable(pooling("max", 8, 8, 4, 2))
    assert not pool.applicable(planes(pooling("max", 8, 200, 4, (1, 100))))
    assert not pool.applicable(planes(pooling("average", 300, 300, 1, 300)))


def test_it_compiles_for_arm():
    for kind in ("max", "average"):
        problem = planes(pooling(kind, 9, 40, 2, 3, 2, "same"))
        assert assembly(pool.generate(problem, isa(ARM_SDOT), "kernel"), ARM_SDOT)
