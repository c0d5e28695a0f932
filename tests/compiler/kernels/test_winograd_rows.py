from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels import winograd_rows
from assay.compiler.kernels.epilogue import Epilogue, bias, clip, residual, unary
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.select import generator_for
from assay.compiler.kernels.winograd_transforms import transforms
from tests.compiler.kernels.harness import ARM, TARGETS, compile_kernel, isa, run_conv2d

BOUND = 2e-5  # largest error over the root mean square of the sums
FIRST_LAYER = Conv2d(1, 30, 29, 3, 15, 15, 32, 7, 7, 2, 2, 2, 2, epilogue=Epilogue((bias(),)))
SMALL = {"l1_bytes": 2048, "l2_bytes": 4096}


def check(problem, text, parallel=1, caches=None):
    function, actual, expected, sums = run_conv2d(winograd_rows, problem, text, parallel, caches)
    assert np.abs(actual - expected).max() <= BOUND * max(1.0, np.sqrt(np.mean(sums**2)))
    return function


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("caches", [None, SMALL], ids=["tiles", "panels"])
@pytest.mark.parametrize("out_c", [5, 32, 83])
def test_any_number_of_channels(text, caches, out_c):
    check(replace(FIRST_LAYER, out_c=out_c), text, caches=caches)


@pytest.mark.parametrize(("kernel", "stride"), [(2, 1), (3, 1), (5, 1), (3, 2), (10, 2), (7, 3)])
def test_any_window_of_two_to_five_taps_of_a_phase(kernel, stride):
    fields = {"kernel_h": kernel, "stride_h": stride, "out_h": 30 // stride}
    check(replace(FIRST_LAYER, **fields), "native")


@pytest.mark.parametrize("text", TARGETS)
def test_epilogue_steps_apply_in_order(text):
    steps = (bias(), residual(), unary("hard_swish"), clip(-2, 2))
    check(replace(FIRST_LAYER, batch=2, epilogue=Epilogue(steps)), text)


def test_the_stated_error_bound_holds_for_many_channels():
    check(replace(FIRST_LAYER, in_c=256, kernel_w=3), "native")


@pytest.mark.parametrize("parallel", [2, 5])
def test_threads_take_strips(parallel):
    function = check(Conv2d(1, 60, 59, 8, 60, 59, 48, 5, 5, 1, 1, 2, 2), "native", parallel)
    assert "T.parallel" in function.script()


@pytest.mark.parametrize("taps", [2, 3, 4, 5])
def test_the_matrices_convolve_exactly(taps):
    rng = np.random.default_rng(0)
    matrices = transforms(7 - taps, taps)
    data, window = rng.normal(size=6), rng.normal(size=taps)
    products = (matrices.weights @ window) * (matrices.data @ data)
    expected = np.correlate(data, window, mode="valid")
    np.testing.assert_allclose(matrices.output @ products, expected, rtol=1e-12, atol=1e-12)
    assert (matrices.output.astype(np.float32) == matrices.output).all()


def test_it_is_chosen_for_large_windows_over_few_channels():
    large = Conv2d(1, 224, 224, 3, 112, 112, 32, 7, 7, 2, 2, 2, 2)
    small = replace(large, kernel_h=3, kernel_w=3)
    deep = Conv2d(1, 14, 14, 256, 7, 7, 256, 3, 3, 2, 2)
    assert generator_for(large, isa("native"), aggressive=True) is winograd_rows
    for problem, aggressive in ((large, False), (small, True), (deep, True)):
        assert generator_for(problem, isa("native"), aggressive) is not winograd_rows


@pytest.mark.parametrize(
    "fields",
    [
        {"kernel_h": 1},
        {"kernel_h": 11},
        {"dilation_h": 2},
        {"dilation_w": 2},
        {"groups": 3},
        {"input_gate": True},
        {"layout": "NCHW"},
    ],
)
def test_other_convolutions_are_not_applicable(fields):
    assert not winograd_rows.applicable(replace(FIRST_LAYER, out_c=33, **fields))


def test_the_same_source_compiles_for_arm():
    function = winograd_rows.generate(FIRST_LAYER, isa(ARM), "kernel")
    assert "fmla" in compile_kernel(function, ARM).inspect_source("asm")


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    text=st.sampled_from(TARGETS),
    batch=st.integers(1, 2),
    image=st.tuples(st.integers(1, 14), st.integers(1, 14)),
    out=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    channels=st.tuples(st.integers(1, 6), st.integers(1, 40)),
    window=st.tuples(st.integers(2, 9), st.integers(1, 7)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pads=st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_any_small_problem(text, batch, image, out, channels, window, strides, pads):
    problem = Conv2d(
        batch, *image, channels[0], *out, channels[1], *window, *strides, *pads,
        epilogue=Epilogue((bias(),)),
    )  # fmt: skip
    if winograd_rows.applicable(problem):
        check(problem, text)
