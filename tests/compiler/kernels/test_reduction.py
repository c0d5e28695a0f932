import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels import reduction
from assay.compiler.kernels.epilogue import Epilogue, bias, clip, residual
from assay.compiler.kernels.reduction import Reduction
from tests.compiler.kernels import reference
from tests.compiler.kernels.harness import ARM, TARGETS, compile_kernel, isa, random, run

KINDS = ["max", "mean", "min", "sum"]


def check(problem, text, parallel=1):
    assert reduction.applicable(problem)
    rng = np.random.default_rng(0)
    x = random(rng, *problem.input_shape)
    shapes = problem.epilogue.operand_shapes(problem.output_shape)
    operands = [random(rng, *shape) for shape in shapes]
    function = reduction.generate(problem, isa(text), "kernel", parallel)
    actual = run(function, text, [x, *operands], problem.output_shape)
    result = getattr(np, problem.kind)(x.astype(np.float64), axis=1).reshape(problem.output_shape)
    expected = reference.epilogue(problem.epilogue.steps, result, operands)
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=2e-7 * problem.size)


SIZES = [(1, 49, 1280), (3, 7, 5), (2, 1, 33), (6, 77, 1), (1, 3, 1), (64, 49, 1), (7, 200, 1)]


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sizes", SIZES)
def test_every_kind_along_middle_and_last_axes(text, kind, sizes):
    check(Reduction(kind, *sizes), text)


@pytest.mark.parametrize("sizes", [(2, 9, 37), (5, 37, 1)])
def test_an_epilogue_follows(sizes):
    steps = (bias(), residual(), clip(-0.5, 0.5))
    check(Reduction("mean", *sizes, Epilogue(steps)), "native")


@pytest.mark.parametrize("sizes", [(1, 3000, 130), (9, 3000, 40), (40, 5000, 1)])
def test_threads_share_results(sizes):
    problem = Reduction("sum", *sizes)
    assert "T.parallel" in reduction.generate(problem, isa("native"), "kernel", 4).script()
    check(problem, "native", parallel=4)


def test_the_same_source_compiles_for_arm():
    function = reduction.generate(Reduction("sum", 2, 9, 37), isa(ARM), "kernel")
    assert "fadd" in compile_kernel(function, ARM).inspect_source("asm")


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    text=st.sampled_from(TARGETS),
    kind=st.sampled_from(KINDS),
    sizes=st.one_of(
        st.tuples(st.integers(1, 5), st.integers(1, 40), st.integers(1, 70)),
        st.tuples(st.integers(1, 20), st.integers(1, 300), st.just(1)),
    ),
)
def test_any_small_reduction(text, kind, sizes):
    check(Reduction(kind, *sizes), text)
