"""Results inside a larger tensor: the same bits as in one of their own, and nothing beside them."""

from dataclasses import replace

import numpy as np
import pytest

from assay.compiler.kernels import (
    dense,
    depthwise,
    direct,
    elementwise,
    expand_depthwise,
    narrow,
    pointwise,
    pool,
    reduction,
    resize,
    transposed,
    winograd,
)
from assay.compiler.kernels.elementwise import Elementwise
from assay.compiler.kernels.epilogue import Epilogue, Inside, bias, gate, residual, unary
from assay.compiler.kernels.expand_depthwise import ExpandDepthwise
from assay.compiler.kernels.nchw import convolution as nchw_convolution
from assay.compiler.kernels.nchw import depthwise as nchw_depthwise
from assay.compiler.kernels.nchw import direct as nchw_direct
from assay.compiler.kernels.nchw import pointwise as nchw_pointwise
from assay.compiler.kernels.nchw import pool as nchw_pool
from assay.compiler.kernels.nchw import transposed as nchw_transposed
from assay.compiler.kernels.nchw import winograd as nchw_winograd
from assay.compiler.kernels.problem import Dense
from assay.compiler.kernels.reduction import Reduction
from tests.compiler.kernels.harness import TARGETS, isa, random, run
from tests.compiler.kernels.test_direct import conv_problem
from tests.compiler.kernels.test_pool import pool_problem
from tests.compiler.kernels.test_resize import bilinear
from tests.compiler.kernels.test_transposed import problem as transposed_problem

ALL = Epilogue((bias(), unary("sigmoid"), residual(), gate()))
PLAIN = Epilogue((bias(), unary("relu")))


def conv(in_c, out_c, kernel=(3, 3), **fields):
    return conv_problem((7, 9), in_c, out_c, kernel, **{"batch": 2, "epilogue": ALL, **fields})


def blocks():
    """A 1x1 convolution and a depthwise one, as kernels of level 4 take them."""
    first = conv(5, 21, (1, 1), epilogue=PLAIN)
    return ExpandDepthwise(first, conv(21, 21, groups=21, epilogue=PLAIN))


CASES = {
    "direct": (direct, conv(5, 37)),
    "direct of one channel": (direct, conv(5, 1)),
    "pointwise": (pointwise, conv(19, 35, (1, 1))),
    "pointwise with a stride": (pointwise, conv_problem((6, 8), 9, 6, (1, 1), (2, 2), batch=2)),
    "depthwise": (depthwise, conv(21, 21, groups=21)),
    "transposed": (
        transposed,
        transposed_problem((4, 5), (3, 18), (3, 3), (2, 2), (1, 1), epilogue=ALL, batch=2),
    ),
    "winograd": (winograd, conv(17, 21)),
    "pool": (pool, pool_problem("average", (7, 9), 37, (3, 3), (2, 2), batch=2)),
    "resize": (resize, bilinear((4, 5), 19, (9, 8), batch=2)),
    "reduction": (reduction, Reduction("mean", 3, 7, 21)),
    "elementwise": (
        elementwise,
        Elementwise((2, 3, 21), ((2, 3, 21), (21,), (2, 1, 1)), (bias(), gate()), ALL),
    ),
    "dense": (dense, Dense((1,), 9, 37, PLAIN)),
    "dense of rows": (dense, Dense((3, 5), 9, 37, PLAIN)),
    "expand_depthwise": (expand_depthwise, blocks()),
    "nchw convolution": (nchw_convolution, conv(5, 11, layout="NCHW")),
    "nchw pointwise": (nchw_pointwise, conv(19, 35, (1, 1), layout="NCHW")),
    "nchw direct": (nchw_direct, conv(5, 11, layout="NCHW")),
    "nchw depthwise": (nchw_depthwise, conv(5, 5, groups=5, layout="NCHW")),
    "nchw winograd": (nchw_winograd, conv(17, 21, layout="NCHW")),
    "nchw pool": (
        nchw_pool,
        pool_problem("max", (7, 9), 5, (3, 3), (2, 2), batch=2, layout="NCHW"),
    ),
    "nchw transposed": (
        nchw_transposed,
        transposed_problem((4, 5), (3, 6), (3, 3), (2, 2), layout="NCHW", batch=2),
    ),
}


def last(problem):
    """The part that has the epilogue."""
    return problem.depthwise if isinstance(problem, ExpandDepthwise) else problem


def placed(problem, inside):
    part = last(problem)
    part = replace(part, epilogue=replace(part.epilogue, inside=inside))
    return replace(problem, depthwise=part) if isinstance(problem, ExpandDepthwise) else part


def arguments(generator, problem, machine, rng):
    """Random tensors in the order of the kernel's parameters, up to the output."""
    if isinstance(problem, ExpandDepthwise):
        first, second = problem.expand, problem.depthwise
        weights = [random(rng, *part.weights_shape) for part in (first, second)]
        packed = generator.pack(problem, machine, weights[0])
        operands = [
            [random(rng, *shape) for shape in part.epilogue.operand_shapes(part.output_shape)]
            for part in (first, second)
        ]
        taps = depthwise.pack(second, machine, weights[1])
        return [random(rng, *first.input_shape), packed, *operands[0], taps, *operands[1]]
    axis = getattr(problem, "channel_axis", -1)
    shapes = problem.epilogue.operand_shapes(problem.output_shape, axis)
    operands = [random(rng, *shape) for shape in shapes]
    tables = list(resize.tables(problem)) if generator is resize else []
    if hasattr(generator, "pack") and not tables:
        tables = [generator.pack(problem, machine, random(rng, *problem.weights_shape))]
    inputs = getattr(problem, "operands", None) or [problem.input_shape]
    return [*(random(rng, *shape) for shape in inputs), *tables, *operands]


def check(generator, problem, text, first, gap, parallel=1):
    """Compare with results of their own: rows of the output are ``gap`` elements apart."""
    machine, shape = isa(text), last(problem).output_shape
    nchw = getattr(last(problem), "layout", "NHWC") == "NCHW"
    unit = int(np.prod(shape[1:])) if nchw else shape[-1]
    rows = int(np.prod(shape)) // unit
    inside = Inside(first + rows * (unit + gap), first, unit + gap)
    inner = placed(problem, inside)
    assert generator.applicable(inner)
    inputs = arguments(generator, problem, machine, np.random.default_rng(0))
    alone = generator.generate(problem, machine, "kernel", parallel)
    expected = run(alone, text, inputs, shape).reshape(rows, unit)
    function = generator.generate(inner, machine, "kernel", parallel)
    actual = run(function, text, inputs, (inside.size,))
    assert np.isnan(actual[:first]).all()
    actual = actual[first:].reshape(rows, unit + gap)
    np.testing.assert_array_equal(actual[:, :unit], expected)
    assert np.isnan(actual[:, unit:]).all()


@pytest.mark.parametrize("case", CASES)
def test_rows_apart(case):
    check(*CASES[case], "native", 3, 5)


@pytest.mark.parametrize("text", TARGETS)
def test_vectors_of_any_width_and_threads(text):
    check(*CASES["direct"], text, 16, 16, parallel=2)


def test_single_channels_are_no_vectors():
    problem = Elementwise((3, 40, 1), ((3, 40, 1),), ())
    check(elementwise, problem, "native", 7, 0)
    assert not elementwise.applicable(placed(problem, Inside(1000, 7, 2)))


def test_lines_of_few_channels_stay_whole():
    problem = conv(16, 3, epilogue=PLAIN)
    check(narrow, problem, "native", 7, 0)
    assert not narrow.applicable(placed(problem, Inside(1000, 7, 5)))
