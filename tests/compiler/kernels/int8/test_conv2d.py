from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels.int8 import conv2d, depthwise
from assay.compiler.kernels.int8.problem import (
    QuantizedConv2d,
    folded_bias,
    multipliers,
)
from assay.compiler.kernels.int8.stored import StoredRange
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.target import Isa
from tests.compiler.kernels.int8.cases import ADDITION, check, conv
from tests.compiler.kernels.int8.harness import (
    ALDER_LAKE,
    ARM_PLAIN,
    ARM_SDOT,
    MAIN_TARGETS,
    TARGETS,
    assembly,
    isa,
)

ADDED = {"addition": ADDITION}
ASYMMETRIC = {"weights_zero_point": -9}

CASES = {
    "image, 3 channels": conv(9, 11, 3, 16, 3, 2),
    "same padding": conv(7, 7, 8, 33, 3, batch=2),
    "dilated, odd depth": conv(9, 9, 5, 20, 3, dilation=2, **ASYMMETRIC),
    "groups": conv(9, 7, 12, 24, 5, 2, batch=2, groups=3, **ASYMMETRIC, **ADDED),
    "groups of two, in place": conv(8, 9, 6, 24, 3, padding="valid", groups=2),
    "groups of four, in place": conv(6, 6, 8, 10, 3, padding="valid", groups=2, **ASYMMETRIC),
    "one group per channel": conv(5, 5, 3, 3, 3, groups=3),
    "one channel, oblong window": conv(12, 5, 1, 7, (10, 4), (2, 1)),
    "window wider than the image": conv(2, 3, 4, 5, 7),
    "in place, odd depth": conv(6, 6, 3, 9, 3, padding="valid"),
    "1x1, stride": conv(6, 5, 16, 24, 1, 2, batch=2, **ADDED),
    "1x1, different strides": conv(6, 5, 5, 6, 1, (1, 3), **ASYMMETRIC),
    "1x1, odd depth, many rows": conv(13, 7, 37, 40, 1, batch=2, **ASYMMETRIC, **ADDED),
    "1x1, less than a step": conv(5, 5, 3, 2, 1),
    "1x1, one value": conv(1, 1, 1, 1, 1),
    "1x1, padded": QuantizedConv2d(
        Conv2d(1, 3, 3, 4, 5, 5, 6, 1, 1, pad_top=1, pad_left=1), 7, StoredRange(100)
    ),
    "1x1, larger than the caches": conv(9, 9, 1031, 130, 1),
}


@pytest.mark.parametrize("text", MAIN_TARGETS)
@pytest.mark.parametrize("case", CASES)
def test_every_byte_is_as_the_arithmetic_says(text, case):
    check(conv2d, CASES[case], text)


@pytest.mark.parametrize("text", MAIN_TARGETS)
@pytest.mark.parametrize("out_c", [2, 3, 5, 24, 37, 100])
def test_any_number_of_output_channels(text, out_c):
    check(conv2d, conv(3, 5, 6, out_c, 1), text)


SHARED = {
    "rows": conv(61, 61, 96, 37, 1, **ASYMMETRIC),
    "lines": conv(40, 40, 32, 40, 3, **ASYMMETRIC),
    "panels": conv(3, 3, 512, 520, 3, **ASYMMETRIC),
    "panels of groups": conv(5, 5, 512, 512, 3, groups=4),
    "batch items": conv(12, 12, 64, 64, 3, batch=3),
}


@pytest.mark.parametrize("parallel", [2, 7])
@pytest.mark.parametrize("case", SHARED)
def test_threads_share_rows_lines_or_panels(case, parallel):
    function = conv2d.generate(SHARED[case], isa("native"), "kernel", parallel)
    assert "T.parallel" in function.script()
    check(conv2d, SHARED[case], "native", parallel)


LINES = {
    "dilated": Conv2d(1, 1, 1500, 96, 1, 1500, 20, 1, 3, pad_left=8, dilation_w=4),
    "of three rows, one outside": Conv2d(1, 2, 500, 99, 1, 501, 9, 3, 5, pad_top=1, pad_left=3),
    "every other pixel": Conv2d(2, 3, 3001, 65, 1, 1503, 9, 3, 1, 1, 2, 0, 3),
    "beside the image": Conv2d(1, 1, 40, 384, 1, 1500, 9, 1, 1, pad_left=700),
    "strides": Conv2d(2, 1, 3001, 48, 1, 1503, 16, 1, 8, 1, 2, 0, 5, groups=2),
}


@pytest.mark.parametrize("parallel", [1, 3])
@pytest.mark.parametrize("text", MAIN_TARGETS)
@pytest.mark.parametrize("case", LINES)
def test_a_line_longer_than_the_caches(text, case, parallel):
    problem = QuantizedConv2d(LINES[case], 77, StoredRange(100), **ASYMMETRIC)
    check(conv2d, problem, text, parallel)


def test_small_convolutions_stay_on_one_thread():
    function = conv2d.generate(conv(5, 5, 16, 16, 3), isa("native"), "kernel", 8)
    assert "T.parallel" not in function.script()


@pytest.mark.parametrize("module", [conv2d, depthwise])
def test_architectures_without_code_of_their_own_take_plain_vectors(module):
    other = Isa("other", "other", 128, 16, False, "none")
    problem = conv(7, 7, 24, 24, 3, 2, groups=24 if module is depthwise else 2, **ADDED)
    check(module, problem, "native", machine=other)


@pytest.mark.skipif(isa("native").dot != "vnni512", reason="needs AVX512-VNNI")
@pytest.mark.parametrize("module", [conv2d, depthwise])
def test_kernels_may_use_narrower_vectors_than_the_cpu_has(module):
    narrow = replace(isa("native"), vector_bits=256, dot="vnni256")
    problem = conv(7, 7, 40, 40, 3, groups=40 if module is depthwise else 1)
    check(module, problem, "native", machine=narrow)


@pytest.mark.parametrize("text", [ALDER_LAKE, ARM_PLAIN, ARM_SDOT])
@pytest.mark.parametrize("case", ["same padding", "groups"])
def test_other_targets_compile(text, case):
    code = assembly(conv2d.generate(CASES[case], isa(text), "kernel"), text)
    assert {ALDER_LAKE: "{vex}\tvpdpbusd", ARM_PLAIN: "smlal", ARM_SDOT: "sdot"}[text] in code


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    text=st.sampled_from(TARGETS),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    groups=st.integers(1, 2),
    in_group=st.integers(1, 19),
    out_group=st.integers(1, 40),
    batch=st.integers(1, 2),
    input_zero_point=st.integers(0, 255),
    weights_zero_point=st.one_of(st.just(0), st.integers(-128, 127)),
    addition=st.one_of(st.none(), st.just(ADDITION)),
)
def test_any_small_problem(
    text, size, kernel, stride, dilation, groups, in_group, out_group, batch, **fields
):
    channels = groups * in_group, groups * out_group
    steps = {"stride": stride, "dilation": dilation, "groups": groups, "batch": batch}
    check(conv2d, conv(*size, *channels, kernel, **steps, **fields), text)


def test_multipliers_are_computed_in_single_precision():
    scales = np.array([0.1, 0.3], np.float32)
    actual = multipliers(0.7, scales, 0.9, 2)
    expected = [np.float32(0.7) * s / np.float32(0.9) for s in scales]
    np.testing.assert_array_equal(actual, np.array(expected, np.float32))
    np.testing.assert_array_equal(multipliers(0.5, 0.5, 0.25, 3), np.ones(3, np.float32))


def test_the_bias_takes_up_the_input_zero_point():
    weights = np.array([[1, -2], [3, 4]], np.int8)
    bias = np.array([10, 20], np.int32)
    assert folded_bias(bias, weights, 5, 0).tolist() == [10 - 5 * 4, 20 - 5 * 2]
    assert folded_bias(bias, weights, 5, 1).tolist() == [10 - 5 * 2, 20]


@pytest.mark.parametrize("fields", [{"input_zero_point": 256}, {"weights_zero_point": 128}])
def test_zero_points_are_those_of_stored_values(fields):
    with pytest.raises(ValueError, match="zero points"):
        conv(3, 3, 4, 4, 3, **fields)


def test_float_epilogues_and_gates_are_refused():
    with pytest.raises(ValueError, match="no gate"):
        QuantizedConv2d(Conv2d(1, 3, 3, 4, 3, 3, 4, 1, 1, input_gate=True), 0, StoredRange(0))
