from dataclasses import replace

import pytest
from hypothesis import given, settings

from assay.compiler.kernels.nchw import convolution
from tests.compiler.kernels.harness import ARM, TARGETS, check_conv2d, compile_kernel, isa
from tests.compiler.kernels.nchw import problems
from tests.compiler.kernels.nchw.problems import LONG, on_host_and_another

CASES = {
    "odd channels": problems.convolution((7, 7), (5, 33), (1, 1)),
    "one channel": problems.convolution((3, 3), (1, 1), (5, 5)),
    "1x1, stride 2, batch 2": problems.convolution(
        (15, 13), (6, 9), (1, 1), stride=(2, 2), batch=2
    ),
    "3x3": problems.convolution((7, 9), (5, 9), (3, 3)),
    "3x3, stride 2": problems.convolution((15, 41), (3, 32), (3, 3), stride=(2, 2)),
    "no padding": problems.convolution((9, 8), (3, 4), (3, 3), pad=(0, 0), epilogue=LONG),
    "dilation": problems.convolution((20, 21), (4, 6), (5, 3), dilation=(2, 1)),
    "stride and dilation": problems.convolution(
        (20, 40), (4, 8), (3, 3), stride=(2, 2), dilation=(2, 3), groups=2
    ),
    "stride 3, dilation 2": problems.convolution(
        (20, 23), (3, 4), (3, 3), stride=(3, 3), dilation=(2, 2)
    ),
    "groups": problems.convolution((6, 5), (6, 9), (3, 3), groups=3, epilogue=LONG),
    "column": problems.convolution((9, 1), (4, 8), (5, 1), pad=(0, 0), batch=2),
    "large window": problems.convolution((30, 30), (3, 8), (7, 7), stride=(2, 2)),
    "long row": problems.convolution((1, 200), (2, 20), (1, 34), stride=(1, 3), batch=2),
    "long column": problems.convolution((70, 3), (2, 20), (20, 2)),
    "bands": problems.convolution((40, 64), (40, 5), (3, 3)),
    "window beyond the image": problems.convolution((2, 2), (3, 5), (7, 7)),
    "gate": problems.convolution((9, 9), (4, 8), (1, 1), input_gate=True, batch=2, epilogue=LONG),
    "gate on groups": problems.convolution((5, 5), (4, 8), (3, 3), input_gate=True, groups=2),
}


@pytest.mark.parametrize(("text", "case"), on_host_and_another(CASES))
def test_equals_the_definition(text, case):
    check_conv2d(convolution, CASES[case], text)


@pytest.mark.parametrize(("text", "case"), on_host_and_another(CASES))
def test_reads_an_image_in_nhwc(text, case):
    problem = replace(CASES[case], input_layout="NHWC")
    if convolution.applicable(problem):
        check_conv2d(convolution, problem, text, parallel=2)


def test_reads_channels_of_a_group_in_nchw_only():
    problem = problems.convolution((5, 9), (4, 8), (3, 3), groups=2, input_layout="NHWC")
    assert not convolution.applicable(problem)
    assert not convolution.applicable(replace(problem, groups=1, input_gate=True))


@pytest.mark.parametrize(
    ("image", "channels", "window"),
    [((28, 28), (128, 64), (1, 1)), ((5, 5), (256, 256), (1, 1)), ((30, 30), (32, 33), (3, 3))],
)
def test_threads_share_out_pixels_channels_or_bands(image, channels, window):
    problem = problems.convolution(image, channels, window, batch=2)
    check_conv2d(convolution, problem, TARGETS[-1], parallel=3)


@settings(max_examples=8, deadline=None)
@given(problems.any_geometry())
def test_any_geometry(drawn):
    problem, parallel = drawn
    check_conv2d(convolution, problem, TARGETS[-1], parallel)
    problem = replace(problem, input_layout="NHWC")
    if convolution.applicable(problem):
        check_conv2d(convolution, problem, TARGETS[-1], parallel)


def test_compiles_for_arm():
    problem = problems.convolution((9, 9), (3, 8), (3, 3), stride=(2, 2))
    compile_kernel(convolution.generate(problem, isa(ARM), "kernel"), ARM)
