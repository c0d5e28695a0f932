import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels import dense
from assay.compiler.kernels.epilogue import Epilogue, bias, clip, gate, residual, unary
from assay.compiler.kernels.problem import Dense
from tests.compiler.kernels import reference
from tests.compiler.kernels.harness import (
    ARM,
    TARGETS,
    assert_close,
    compile_kernel,
    isa,
    random,
    run,
)

BIAS = Epilogue((bias(),))


def check(problem, text, parallel=1):
    assert dense.applicable(problem)
    rng = np.random.default_rng(0)
    x, weights = random(rng, *problem.input_shape), random(rng, *problem.weights_shape)
    shapes = problem.epilogue.operand_shapes(problem.output_shape)
    operands = [random(rng, *shape) for shape in shapes]
    function = dense.generate(problem, isa(text), "kernel", parallel)
    packed = dense.pack(problem, isa(text), weights)
    actual = run(function, text, [x, packed, *operands], problem.output_shape)
    sums = x.astype(np.float64) @ weights.astype(np.float64)
    expected = reference.epilogue(problem.epilogue.steps, sums, operands)
    assert_close(actual, expected, problem.in_features)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("leading", [(1,), (2, 3)])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (13, 2), (37, 17), (130, 100)])
def test_any_rows_inputs_and_outputs(text, leading, inputs, outputs):
    check(Dense(leading, inputs, outputs, BIAS), text)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("leading", [(1,), (3, 1, 1), (2, 5)])
@pytest.mark.parametrize(
    "steps",
    [
        (bias(), clip(0, 6)),
        (bias(), residual(), unary("relu")),
        (gate(), bias(), unary("sigmoid")),
        (),
    ],
    ids=lambda steps: "-".join(step.op for step in steps),
)
def test_epilogue_steps_apply_in_order(text, leading, steps):
    check(Dense(leading, 19, 21, Epilogue(steps)), text)


@pytest.mark.parametrize("parallel", [2, 5])
@pytest.mark.parametrize("leading", [(1,), (2,), (97,)])
def test_threads_share_rows_or_panels(parallel, leading):
    problem = Dense(leading, 700, 333, BIAS)
    function = dense.generate(problem, isa("native"), "kernel", parallel)
    assert "T.parallel" in function.script()
    check(problem, "native", parallel)


def test_the_same_source_compiles_for_arm():
    function = dense.generate(Dense((1,), 33, 10, BIAS), isa(ARM), "kernel")
    assert "fmla" in compile_kernel(function, ARM).inspect_source("asm")


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    text=st.sampled_from(TARGETS),
    leading=st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple),
    inputs=st.integers(1, 60),
    outputs=st.integers(1, 90),
    steps=st.lists(st.sampled_from([bias(), residual(), gate(), clip(-1, 1)]), max_size=3),
)
def test_any_small_problem(text, leading, inputs, outputs, steps):
    check(Dense(leading, inputs, outputs, Epilogue(tuple(steps))), text)
