from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels.epilogue import Epilogue, unary
from assay.compiler.kernels.int8 import mean, pool
from assay.compiler.kernels.int8.mean import QuantizedMean
from assay.compiler.kernels.int8.pool import QuantizedPool2d
from assay.compiler.kernels.int8.stored import StoredRange
from assay.compiler.kernels.pool import Pool2d
from tests.compiler.kernels.int8 import reference
from tests.compiler.kernels.int8.cases import pair, window
from tests.compiler.kernels.int8.harness import (
    ARM_SDOT,
    MAIN_TARGETS,
    TARGETS,
    assembly,
    isa,
    run,
    stored,
)


def pooling(
    kind, height, width, channels, kernel, stride=1, padding="valid", batch=1, border=None, **fields
):
    (kernel_h, kernel_w), (stride_h, stride_w) = pair(kernel), pair(stride)
    out_h, top = window(height, kernel_h, stride_h, padding=padding)
    out_w, left = window(width, kernel_w, stride_w, padding=padding)
    sizes = (batch, height, width, channels, out_h, out_w, kernel_h, kernel_w)
    geometry = Pool2d(kind, *sizes, stride_h, stride_w, top, left, border=border)
    return QuantizedPool2d(geometry, **{"signed": True, **fields})


def expected(problem, x):
    zero = 128 if problem.signed else 0
    x = x.astype(np.int64) - zero
    p = problem.geometry
    if p.border is not None:
        sides = (p.pad_top, p.kernel_h), (p.pad_left, p.kernel_w)
        x = np.pad(x, ((0, 0), *sides, (0, 0)), constant_values=int(p.border) - zero)
        p = replace(p, pad_top=0, pad_left=0)
    result = np.zeros(p.output_shape, np.int64)
    for y, z in np.ndindex(p.out_h, p.out_w):
        rows = slice(max(y * p.stride_h - p.pad_top, 0), y * p.stride_h - p.pad_top + p.kernel_h)
        left = z * p.stride_w - p.pad_left
        seen = x[:, rows, max(left, 0) : left + p.kernel_w]
        if p.kind == "max":
            result[:, y, z] = seen.max((1, 2))
        else:
            total, count = seen.sum((1, 2)), seen.shape[1] * seen.shape[2]
            magnitude = (np.abs(total) + count // 2) // count
            result[:, y, z] = np.sign(total) * magnitude
    return np.clip(result + zero, problem.low, problem.high).astype(np.uint8)


def check(problem, text, parallel=1):
    assert pool.applicable(problem)
    x = stored(np.random.default_rng(0), *problem.geometry.input_shape)
    function = pool.generate(problem, isa(text), "kernel", parallel)
    actual = run(function, text, [x], problem.geometry.output_shape)
    np.testing.assert_array_equal(actual, expected(problem, x))
    return function


CASES = {
    "2x2, odd channels": {"height": 7, "width": 9, "channels": 21, "kernel": 2, "stride": 2},
    "same padding": {
        "height": 5,
        "width": 6,
        "channels": 64,
        "kernel": 3,
        "padding": "same",
        "batch": 2,
    },
    "whole image": {"height": 7, "width": 7, "channels": 200, "kernel": 7, "low": 100, "high": 140},
    "oblong, one channel": {"height": 9, "width": 5, "channels": 1, "kernel": (4, 1), "stride": 3},
}


@pytest.mark.parametrize("text", MAIN_TARGETS)
@pytest.mark.parametrize("kind", ["max", "average"])
@pytest.mark.parametrize("case", CASES)
def test_every_byte_is_as_defined(text, kind, case):
    check(pooling(kind, **CASES[case]), text)


@pytest.mark.parametrize("text", MAIN_TARGETS)
def test_averages_of_uint8_models_round_half_up(text):
    check(pooling("average", 6, 6, 40, 2, 2, signed=False), text)


@pytest.mark.parametrize("kind", ["max", "average"])
def test_threads_share_rows(kind):
    function = check(pooling(kind, 64, 64, 128, 3, 1, "same"), "native", 3)
    assert "T.parallel" in function.script()


@settings(max_examples=10, deadline=None, derandomize=True)
@given(
    text=st.sampled_from(TARGETS),
    kind=st.sampled_from(["max", "average"]),
    size=st.tuples(st.integers(4, 9), st.integers(4, 9)),
    channels=st.integers(1, 150),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.sampled_from(["same", "valid"]),
    signed=st.booleans(),
    border=st.one_of(st.none(), st.integers(0, 255)),
)
def test_any_small_problem(text, kind, size, channels, kernel, stride, padding, **fields):
    check(pooling(kind, *size, channels, kernel, stride, padding, **fields), text)


def test_huge_windows_are_not_applicable():
    assert not pool.applicable(pooling("average", 300, 300, 1, 300))


@pytest.mark.parametrize("fields", [{"epilogue": Epilogue((unary("relu"),))}, {"border": -1.0}])
def test_what_only_float_pooling_does_is_refused(fields):
    with pytest.raises(ValueError, match="quantized pooling"):
        QuantizedPool2d(Pool2d("max", 1, 2, 2, 1, 1, 1, 2, 2, **fields), True)


MEANS = [
    QuantizedMean((2, 7, 7, 100), (1, 2), False, 99, 0.03, StoredRange(77)),
    QuantizedMean((1, 4, 5, 3), (1, 2), True, 7, 0.2, StoredRange(3, 5, 200)),
    QuantizedMean((5, 131), (1,), False, 130, 0.05, StoredRange(128)),
    QuantizedMean((3, 37), (0,), True, 130, 0.9, StoredRange(128)),
    QuantizedMean((1, 1, 1, 70), (1, 2), False, 0, 1.0, StoredRange(0)),
]


@pytest.mark.parametrize("text", MAIN_TARGETS)
@pytest.mark.parametrize("problem", MEANS, ids=lambda p: f"{p.shape}{p.axes}")
def test_means_are_requantized_sums(text, problem):
    check_mean(problem, text)


def check_mean(problem, text, parallel=1):
    assert mean.applicable(problem)
    x = stored(np.random.default_rng(0), *problem.shape)
    sums = (x.astype(np.int64) - problem.input_zero_point).sum(problem.axes)
    result = reference.requantize(sums, np.float32(problem.multiplier), problem.output)
    function = mean.generate(problem, isa(text), "kernel", parallel)
    actual = run(function, text, [x], problem.output_shape)
    np.testing.assert_array_equal(actual, result.reshape(problem.output_shape))
    return function


@pytest.mark.parametrize("shape", [(1, 40, 40, 512), (64, 14, 14, 64), (400, 2, 1000, 1)], ids=str)
def test_threads_share_images_or_channels(shape):
    problem = QuantizedMean(shape, (1, 2), False, 99, 0.001, StoredRange(77))
    assert "T.parallel" in check_mean(problem, "native", 3).script()


def test_axes_apart_from_each_other_are_not_applicable():
    assert not mean.applicable(QuantizedMean((2, 3, 4), (0, 2), False, 0, 1.0, StoredRange(0)))


@pytest.mark.parametrize(
    "function",
    [
        pool.generate(pooling("average", 5, 5, 20, 3), isa(ARM_SDOT), "kernel"),
        mean.generate(MEANS[0], isa(ARM_SDOT), "kernel"),
    ],
    ids=["pool", "mean"],
)
def test_they_compile_for_arm(function):
    assert assembly(function, ARM_SDOT)
