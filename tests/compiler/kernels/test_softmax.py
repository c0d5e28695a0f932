import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels import softmax
from assay.compiler.kernels.softmax import Softmax
from tests.compiler.kernels.harness import ARM, TARGETS, compile_kernel, isa, run


def softmax_reference(x, beta, axis):
    x = x.astype(np.float64) * beta
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def check(problem, text, parallel=1, scale=3.0):
    rng = np.random.default_rng(0)
    x = rng.normal(0, scale, problem.shape).astype(np.float32)
    function = softmax.generate(problem, isa(text), "kernel", parallel)
    actual = run(function, text, [x], problem.shape)
    np.testing.assert_allclose(
        actual,
        softmax_reference(x, problem.beta, problem.axis),
        rtol=2e-6 * (1 + scale),
        atol=1e-37,
    )
    np.testing.assert_allclose(actual.sum(axis=problem.axis), 1, rtol=1e-5)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (3, 10), (1, 37), (2, 3, 16), (1, 1001)])
def test_any_number_of_classes(text, shape):
    assert softmax.applicable(Softmax(shape))
    check(Softmax(shape), text)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize(("shape", "axis"), [((2, 21, 9, 7), 1), ((3, 5, 2), 0), ((1, 2, 1), 1)])
def test_along_an_axis_before_the_last(text, shape, axis):
    check(Softmax(shape, 0.5, axis), text, parallel=2)


@pytest.mark.parametrize("text", TARGETS)
def test_beta_scales_the_inputs(text):
    check(Softmax((2, 21), beta=0.5), text)


@pytest.mark.parametrize("text", TARGETS)
def test_large_inputs_do_not_overflow(text):
    function = softmax.generate(Softmax((1, 21)), isa(text), "kernel")
    x = np.full((1, 21), -1e4, np.float32)
    x[0, [3, 20]] = 1e4
    actual = run(function, text, [x], (1, 21))
    assert actual[0, [3, 20]].tolist() == [0.5, 0.5]
    assert (np.delete(actual[0], [3, 20]) < 1e-37).all()


def test_threads_share_rows():
    for problem in (Softmax((300, 200)), Softmax((2, 20, 2000), axis=1)):
        assert "T.parallel" in softmax.generate(problem, isa("native"), "kernel", 3).script()
        check(problem, "native", 3)


def test_no_maths_library_is_called_on_arm():
    function = softmax.generate(Softmax((1, 37)), isa(ARM), "kernel")
    assert "expf" not in compile_kernel(function, ARM).inspect_source("asm")


@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    text=st.sampled_from(TARGETS),
    shape=st.lists(st.integers(1, 50), min_size=1, max_size=3).map(tuple),
    axis=st.integers(1, 3),
)
def test_any_small_problem(text, shape, axis):
    check(Softmax(shape, axis=-min(axis, len(shape))), text)
