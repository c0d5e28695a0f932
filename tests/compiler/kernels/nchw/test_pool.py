from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels.epilogue import Epilogue, bias, clip, residual, unary
from assay.compiler.kernels.nchw import pool
from tests.compiler.kernels import reference
from tests.compiler.kernels.harness import TARGETS, isa, random, run
from tests.compiler.kernels.nchw.problems import on_host_and_another
from tests.compiler.kernels.test_pool import pool_problem, pooled

AFTER = Epilogue((bias(), residual(), clip(-2.0, 2.0)))

CASES = {
    "max": pool_problem("max", (7, 8), 3, (3, 3), (2, 2), (1, 1)),
    "average": pool_problem("average", (7, 28), 3, (3, 3), (1, 1), (1, 1), epilogue=AFTER),
    "counted": pool_problem("average", (9, 5), 2, (2, 3), (2, 2), (1, 1), border=0.0),
    "border": pool_problem("max", (4, 21), 3, (2, 3), (1, 2), (2, 1), border=-1.75),
    "whole": pool_problem("average", (12, 41), 2, (2, 2), (2, 2), batch=2),
    "wide": pool_problem("max", (3, 100), 2, (1, 9), (1, 3), (0, 4), epilogue=AFTER),
    "narrow": pool_problem("max", (9, 7), 5, (3, 3), (1, 1), (1, 1), epilogue=AFTER),
    "one row": pool_problem("average", (3, 7), 5, (3, 3), (1, 1), (0, 1), batch=2),
    "one column": pool_problem("max", (9, 3), 5, (2, 3), (2, 1)),
    "all beside": pool_problem("max", (2, 3), 2, (5, 5), (1, 1), (4, 4)),
    "dilation": pool_problem("average", (13, 21), 2, (3, 2), (2, 3), (2, 1), (3, 2)),
    "long": pool_problem(
        "average", (6, 20), 3, (2, 2), epilogue=Epilogue((bias(), unary("swish")))
    ),
    "in memory": pool_problem("max", (5, 190), 2, (2, 25), (1, 1), (1, 12), epilogue=AFTER),
    "counted in memory": pool_problem("average", (5, 300), 2, (3, 40), (2, 2), (1, 20)),
    "border in memory": pool_problem("max", (3, 200), 2, (2, 41), (1, 2), (1, 7), border=-1.5),
}


@pytest.mark.parametrize(("text", "case"), on_host_and_another(CASES))
@pytest.mark.parametrize("parallel", [1, 2])
def test_equals_the_definition(text, case, parallel):
    check(replace(CASES[case], layout="NCHW"), text, parallel)


def check(problem, text, parallel=1):
    last = replace(problem, layout="NHWC")
    rng = np.random.default_rng(0)
    x = random(rng, *problem.input_shape) - 2  # padding of zeros would show in a maximum
    shapes = problem.epilogue.operand_shapes(problem.output_shape, channel_axis=1)
    operands = [random(rng, *shape) for shape in shapes]
    function = pool.generate(problem, isa(text), "kernel", parallel)
    actual = run(function, text, [x, *operands], problem.output_shape)
    operands = [np.moveaxis(o, 1, -1) if o.ndim == 4 else o for o in operands]
    expected = pooled(last, np.moveaxis(x, 1, -1))
    expected = reference.epilogue(problem.epilogue.steps, expected, operands)
    np.testing.assert_allclose(np.moveaxis(actual, 1, -1), expected, rtol=4e-6, atol=1e-6)


@st.composite
def any_pooling(draw):
    """Pooling of a few small planes; each window has a pixel of the image."""

    def between(low, high):
        return draw(st.integers(low, high))

    axes = []
    for most in (12, 50):
        kernel, dilation = between(1, 5), between(1, 2)
        reach = (kernel - 1) * dilation
        pad = between(0, reach // 2)
        size = between(max(1, reach + 1 - 2 * pad, dilation), most)
        axes.append((size, kernel, between(1, 4), pad, dilation))
    image, kernel, stride, pad, dilation = zip(*axes, strict=True)
    kind = draw(st.sampled_from(["max", "average"]))
    border = draw(st.sampled_from([None, 0.0] if kind == "average" else [None, 0.0, -1.25]))
    fields = {"border": border, "epilogue": draw(st.sampled_from([Epilogue(), AFTER]))}
    return pool_problem(kind, image, between(1, 3), kernel, stride, pad, dilation, **fields)


@settings(max_examples=20, deadline=None)
@given(any_pooling(), st.sampled_from(TARGETS), st.integers(1, 2))
def test_any_window(problem, text, parallel):
    check(replace(problem, layout="NCHW"), text, parallel)
