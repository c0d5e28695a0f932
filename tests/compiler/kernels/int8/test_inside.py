"""Results inside a larger tensor: the same bytes as in one of their own, and nothing beside."""

from dataclasses import replace

import numpy as np
import pytest

from assay.compiler.kernels.epilogue import Epilogue, Inside
from assay.compiler.kernels.int8 import concat, conv2d, dense, depthwise, pool, transposed
from assay.compiler.kernels.int8.concat import QuantizedConcat
from assay.compiler.kernels.int8.elementwise import Operand
from assay.compiler.kernels.int8.pool import QuantizedPool2d
from assay.compiler.kernels.int8.problem import QuantizedDense, QuantizedTransposedConv2d
from assay.compiler.kernels.int8.stored import StoredRange
from assay.compiler.kernels.problem import Dense
from tests.compiler.kernels.int8.cases import ADDITION, TARGET, conv, tensors
from tests.compiler.kernels.int8.harness import MAIN_TARGETS, isa, run, stored
from tests.compiler.kernels.test_pool import pool_problem
from tests.compiler.kernels.test_transposed import problem as transposed_geometry

EMPTY = 171

CASES = {
    "conv2d": (conv2d, conv(7, 9, 5, 37, 3, batch=2)),
    "conv2d of pixels, added": (conv2d, conv(7, 9, 16, 21, 1, batch=2, addition=ADDITION)),
    "conv2d in groups": (conv2d, conv(6, 7, 8, 12, 3, groups=2)),
    "depthwise": (depthwise, conv(7, 9, 37, 37, 3, groups=37, batch=2)),
    "depthwise, added": (depthwise, conv(7, 9, 37, 37, 3, groups=37, batch=2, addition=ADDITION)),
    "dense": (dense, QuantizedDense(Dense((3,), 16, 37), 7, TARGET)),
    "transposed": (
        transposed,
        QuantizedTransposedConv2d(
            transposed_geometry((4, 5), (8, 18), (3, 3), (2, 2), batch=2), 7, TARGET
        ),
    ),
    "pool": (
        pool,
        QuantizedPool2d(pool_problem("average", (7, 9), 37, (3, 3), (2, 2), batch=2), True),
    ),
}


@pytest.mark.parametrize("text", MAIN_TARGETS)
@pytest.mark.parametrize("case", CASES)
def test_rows_apart(case, text):
    generator, problem = CASES[case]
    shape, machine, rng = problem.geometry.output_shape, isa(text), np.random.default_rng(0)
    unit, first, gap = shape[-1], 3, 5
    rows = int(np.prod(shape)) // unit
    inside = Inside(first + rows * (unit + gap), first, unit + gap)
    geometry = replace(problem.geometry, epilogue=Epilogue(inside=inside))
    if generator is pool:
        inputs = [stored(rng, *problem.geometry.input_shape)]
    else:
        x, *values = tensors(problem)
        inputs = [x, *generator.pack(problem, machine, *values)]
        inputs += [stored(rng, *shape)] if problem.addition else []

    def bytes_of(made, shape):
        return run(generator.generate(made, machine, "kernel"), text, inputs, shape, fill=EMPTY)

    expected = bytes_of(problem, shape).reshape(rows, unit)
    actual = bytes_of(replace(problem, geometry=geometry), (inside.size,))
    before, actual = actual[:first], actual[first:].reshape(rows, unit + gap)
    np.testing.assert_array_equal(actual[:, :unit], expected)
    assert (before == EMPTY).all()
    assert (actual[:, unit:] == EMPTY).all()


def test_a_concatenation_leaves_out_what_others_write():
    shapes = [(2, 3, size) for size in (4, 40, 7)]
    operands = tuple(Operand(shape, 100) for shape in shapes)
    problem = QuantizedConcat(operands, (1.0, 1.0, 0.5), 2, StoredRange(100))
    pieces = [problem.piece(index) for index in range(3)]
    assert [piece and (piece.first, piece.length, piece.step) for piece in pieces] == [
        (0, 4, 51),
        (4, 40, 51),
        None,
    ]
    assert problem.without({0, 1, 2}) is None
    left = problem.without({1})
    assert left.moved == 2 * 3 * (4 + 7)
    rng = np.random.default_rng(0)
    inputs = [stored(rng, *shape) for shape in shapes]

    def joined(problem, inputs):
        function = concat.generate(problem, isa("native"), "kernel")
        return run(function, "native", inputs, (2, 3, 51), fill=EMPTY)

    whole, part = joined(problem, inputs), joined(left, [inputs[0], inputs[2]])
    np.testing.assert_array_equal(part[..., :4], whole[..., :4])
    np.testing.assert_array_equal(part[..., 44:], whole[..., 44:])
    assert (part[..., 4:44] == EMPTY).all()
