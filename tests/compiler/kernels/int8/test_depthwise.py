import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels.int8 import depthwise
from assay.compiler.kernels.int8.depthwise import columns_of, vectors_of
from assay.compiler.kernels.int8.depthwise_pack import channel_runs, depthwise_dot
from assay.compiler.kernels.int8.interleave import channel_order, most_channels
from tests.compiler.kernels.int8.cases import ADDITION, check, conv
from tests.compiler.kernels.int8.harness import (
    ALDER_LAKE,
    ARM_PLAIN,
    ARM_SDOT,
    AVX2,
    MAIN_TARGETS,
    TARGETS,
    VNNI,
    assembly,
    isa,
)


def depthwise_conv(height, width, channels, kernel, stride=1, multiplier=1, **fields):
    out_c = channels * multiplier
    return conv(height, width, channels, out_c, kernel, stride, groups=channels, **fields)


CASES = {
    "same padding": depthwise_conv(9, 11, 64, 3),
    "stride, batch": depthwise_conv(7, 7, 96, 3, 2, batch=2),
    "five by five, odd channels": depthwise_conv(8, 9, 21, 5),
    "dilation, weights' zero point": depthwise_conv(9, 9, 40, 3, dilation=2, weights_zero_point=-9),
    "four channels": depthwise_conv(5, 6, 4, 3),
    "multiplier": depthwise_conv(5, 5, 3, 3, multiplier=8, weights_zero_point=100),
    "in place": depthwise_conv(7, 7, 37, 7, padding="valid"),
    "column window, addition": depthwise_conv(13, 7, 20, (5, 1), addition=ADDITION),
    "one pixel": depthwise_conv(1, 1, 16, 3),
    "eight channels": depthwise_conv(9, 18, 8, 3),
    "no padding, stride 3": depthwise_conv(11, 14, 24, 3, 3, padding="valid", batch=2),
    "dilation of rows, stride": depthwise_conv(17, 9, 20, (3, 2), 2, dilation=(3, 1)),
    "32 and 16 channels": depthwise_conv(7, 9, 48, 3, addition=ADDITION),
    "oblong": depthwise_conv(2, 9, 130, (2, 4), (1, 3)),
    "1x1 with stride": depthwise_conv(5, 7, 18, 1, (2, 3)),
    "dilated beyond the image": depthwise_conv(5, 5, 8, 3, dilation=12),
}


@pytest.mark.parametrize("text", MAIN_TARGETS)
@pytest.mark.parametrize("case", CASES)
def test_every_byte_is_as_the_arithmetic_says(text, case):
    check(depthwise, CASES[case], text)


@pytest.mark.parametrize("parallel", [2, 7])
@pytest.mark.parametrize("size", [(61, 40), (63, 41)])
@pytest.mark.parametrize("text", MAIN_TARGETS)
def test_threads_share_row_tiles(text, parallel, size):
    problem = depthwise_conv(*size, 96, 5, batch=2)
    assert "T.parallel" in depthwise.generate(problem, isa(text), "kernel", parallel).script()
    check(depthwise, problem, text, parallel)


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("text", MAIN_TARGETS)
def test_images_larger_than_the_cache_go_in_parts(text, dilation):
    check(depthwise, depthwise_conv(131, 100, 48, 3, dilation=dilation), text)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("text", MAIN_TARGETS)
def test_rows_of_wide_images_that_leave_the_cache_take_fewer_channels_at_once(text, stride):
    problem = depthwise_conv(7, 411, 70, 3, stride)
    dot, machine = depthwise_dot(problem, isa(text)), isa(text)
    widest = vectors_of(problem.geometry, machine, dot)[0].width
    assert widest == machine.lanes() if dot.taps == 4 else widest <= machine.lanes()
    check(depthwise, problem, text, 2)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    text=st.sampled_from(TARGETS),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    channels=st.integers(4, 70),
    multiplier=st.integers(1, 2),
    batch=st.integers(1, 2),
    input_zero_point=st.integers(0, 255),
    weights_zero_point=st.one_of(st.just(0), st.integers(-128, 127)),
    addition=st.one_of(st.none(), st.just(ADDITION)),
)
def test_any_small_problem(text, size, kernel, stride, dilation, channels, multiplier, **fields):
    problem = depthwise_conv(
        *size, channels, kernel, stride, multiplier, dilation=dilation, **fields
    )
    check(depthwise, problem, text)


@pytest.mark.parametrize("text", [ALDER_LAKE, ARM_PLAIN, ARM_SDOT])
def test_other_targets_compile(text):
    code = assembly(depthwise.generate(CASES["same padding"], isa(text), "kernel"), text)
    assert {ALDER_LAKE: "{vex}\tvpdpbusd", ARM_PLAIN: "smlal", ARM_SDOT: "sdot"}[text] in code


@pytest.mark.parametrize(
    "problem",
    [
        conv(5, 5, 1, 8, 3),
        conv(5, 5, 8, 8, 3, groups=2),
        depthwise_conv(5, 5, 3, 3),
        depthwise_conv(20, 20, 8, 12),
    ],
    ids=["one channel", "groups of four", "three channels", "huge window"],
)
def test_other_convolutions_are_not_applicable(problem):
    assert not depthwise.applicable(problem)


@pytest.mark.parametrize("text", [*TARGETS, ALDER_LAKE, ARM_PLAIN, ARM_SDOT])
def test_sums_and_weights_of_a_tile_fit_registers(text):
    for problem in CASES.values():
        p, dot = problem.geometry, depthwise_dot(problem, isa(text))
        for run in channel_runs(p.out_c, most_channels(isa(text), dot)):
            columns = columns_of(p, isa(text), dot, run.width)
            vectors = max(1, run.width // isa(text).lanes())
            assert 1 <= columns <= p.out_w
            if columns > 1:
                assert vectors * columns + min(p.kernel_w, 5) < isa(text).registers


@pytest.mark.parametrize("channels", [4, 8, 16, 32, 64])
@pytest.mark.parametrize("text", [AVX2, VNNI])
def test_each_channel_has_a_place(text, channels):
    problem = depthwise_conv(5, 5, channels, 3)
    order = channel_order(depthwise_dot(problem, isa(text)), channels)
    assert sorted(order) == list(range(channels))


@pytest.mark.parametrize("most", [8, 16, 64])
def test_vectors_cover_all_channels(most):
    for channels in range(4, 200):
        covered = np.zeros(channels, int)
        for run in channel_runs(channels, most):
            for index in range(run.count):
                covered[run.first(index) : run.first(index) + run.width] += 1
        assert covered.min() == 1
        assert len(channel_runs(channels, most)) <= 2
