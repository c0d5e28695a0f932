from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels.epilogue import Epilogue, bias, clip, gate, residual
from assay.compiler.kernels.nchw import winograd_rows
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.select import generator_for
from tests.compiler.kernels.harness import ARM, TARGETS, compile_kernel, isa, run_conv2d
from tests.compiler.kernels.nchw.problems import LONG, SHORT
from tests.compiler.kernels.test_winograd_rows import BOUND, FIRST_LAYER, SMALL

LAYOUTS = {"input_layout": "NHWC", "layout": "NCHW"}
PROBLEM = replace(FIRST_LAYER, **LAYOUTS)


def check(problem, text, parallel=1, caches=None):
    function, actual, expected, sums = run_conv2d(winograd_rows, problem, text, parallel, caches)
    assert np.abs(actual - expected).max() <= BOUND * max(1.0, np.sqrt(np.mean(sums**2)))
    return function


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("caches", [None, SMALL], ids=["groups", "rows"])
@pytest.mark.parametrize("out_c", [1, 5, 32, 83])
def test_any_number_of_channels(text, caches, out_c):
    check(replace(PROBLEM, out_c=out_c), text, caches=caches)


@pytest.mark.parametrize("width", [1, 2, 13, 100])
def test_any_width(width):
    check(replace(PROBLEM, in_w=2 * width, out_w=width), TARGETS[-1])


@pytest.mark.parametrize(("kernel", "stride"), [(2, 1), (3, 1), (5, 1), (3, 2), (10, 2), (7, 3)])
def test_any_window_of_two_to_five_taps_of_a_phase(kernel, stride):
    fields = {"kernel_h": kernel, "stride_h": stride, "out_h": 30 // stride}
    check(replace(PROBLEM, **fields), "native")


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("epilogue", [SHORT, LONG])
def test_epilogue_steps_apply_in_order(text, epilogue):
    check(replace(PROBLEM, batch=2, epilogue=epilogue), text)


@pytest.mark.parametrize("parallel", [2, 5])
def test_threads_take_strips(parallel):
    problem = replace(PROBLEM, in_h=90, out_h=45, in_w=60, out_w=30, out_c=48)
    assert "T.parallel" in check(problem, "native", parallel).script()


def test_it_is_chosen_for_large_windows_over_few_channels():
    large = Conv2d(1, 224, 224, 3, 112, 112, 32, 7, 7, 2, 2, 2, 2, **LAYOUTS)
    small = replace(large, kernel_h=3, kernel_w=3)
    assert generator_for(large, isa("native"), aggressive=True) is winograd_rows
    for problem, aggressive in ((large, False), (small, True)):
        assert generator_for(problem, isa("native"), aggressive) is not winograd_rows


@pytest.mark.parametrize("fields", [{"kernel_h": 11}, {"groups": 3}, {"input_layout": None}])
def test_other_convolutions_are_not_applicable(fields):
    assert not winograd_rows.applicable(replace(PROBLEM, out_c=33, **fields))


def test_the_same_source_compiles_for_arm():
    function = winograd_rows.generate(PROBLEM, isa(ARM), "kernel")
    assert "fmla" in compile_kernel(function, ARM).inspect_source("asm")


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    text=st.sampled_from(TARGETS),
    batch=st.integers(1, 2),
    image=st.tuples(st.integers(1, 14), st.integers(1, 40)),
    out=st.tuples(st.integers(1, 9), st.integers(1, 40)),
    channels=st.tuples(st.integers(1, 6), st.integers(1, 40)),
    window=st.tuples(st.integers(2, 9), st.integers(1, 7)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pads=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    steps=st.sampled_from([(), (bias(),), (bias(), residual()), (gate(), bias(), clip(0, 6))]),
)
def test_any_small_problem(text, batch, image, out, channels, window, strides, pads, steps):
    problem = Conv2d(
        batch, *image, channels[0], *out, channels[1], *window, *strides, *pads,
        epilogue=Epilogue(steps), **LAYOUTS,
    )  # fmt: skip
    if winograd_rows.applicable(problem):
        check(problem, text)
