from dataclasses import replace

import numpy as np
import pytest

from assay.compiler.kernels.epilogue import Epilogue, bias, clip, residual
from assay.compiler.kernels.nchw import pool
from tests.compiler.kernels import reference
from tests.compiler.kernels.harness import isa, random, run
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
}


@pytest.mark.parametrize(("text", "case"), on_host_and_another(CASES))
@pytest.mark.parametrize("parallel", [1, 2])
def test_equals_the_definition(text, case, parallel):
    problem = replace(CASES[case], layout="NCHW")
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
