from math import prod

import numpy as np
import pytest

from assay.compiler.kernels.batch_matmul import BatchMatmul, View
from assay.compiler.kernels.int8 import batch_matmul
from assay.compiler.kernels.int8.problem import QuantizedBatchMatmul
from tests.compiler.kernels.int8 import reference
from tests.compiler.kernels.int8.cases import ADDITION, TARGET
from tests.compiler.kernels.int8.harness import ARM_SDOT, TARGETS, isa, run, stored


def view(shape, axes, rank):
    """A tensor of that shape, transposed by ``axes``, and broadcast to ``rank`` dimensions."""
    steps = [0 if shape[axis] == 1 else prod(shape[axis + 1 :]) for axis in axes]
    return View(shape, (0,) * (rank - len(axes)) + tuple(steps))


def problem(batch, rows, depth, columns, left=None, right=None, **fields):
    """``left`` and ``right`` are (shape, axes) of tensors stored in another order."""
    rank = len(batch) + 2
    order = tuple(range(rank))
    shape = (*batch, rows, columns)
    views = [
        view(*(given or (default, order)), rank)
        for given, default in ((left, (*batch, rows, depth)), (right, (*batch, depth, columns)))
    ]
    steps = tuple(prod(shape[i + 1 : -1]) for i in range(rank - 1))
    geometry = BatchMatmul(batch, rows, depth, columns, *views, shape, steps)
    zero_points = {"input_zero_point": 77, "weights_zero_point": -9}
    return QuantizedBatchMatmul(geometry, **{**zero_points, "output": TARGET, **fields})


def operand(array, given, order):
    """The operand of the product that a stored tensor is a view of."""
    return array.transpose(given[1] if given else order)


def check(text, batch, rows, depth, columns, left=None, right=None, parallel=1, **fields):
    p = problem(batch, rows, depth, columns, left, right, **fields)
    rng = np.random.default_rng(0)
    order = tuple(range(len(batch) + 2))
    a, b = (stored(rng, *each.shape) for each in (p.geometry.left, p.geometry.right))
    bias = rng.integers(-1000, 1000, columns).astype(np.int32)
    signed = operand(b, right, order).astype(np.float64) - 128 - p.weights_zero_point
    sums = (operand(a, left, order).astype(np.float64) - p.input_zero_point) @ signed
    sums = sums.astype(np.int64) + bias
    multipliers = (rng.uniform(20, 150, columns) / (sums.std() + 1)).astype(np.float32)
    packed = batch_matmul.pack(p, isa(text), bias, multipliers)
    addends = [stored(rng, *p.geometry.output_shape)] if p.addition else []
    function = batch_matmul.generate(p, isa(text), "kernel", parallel)
    actual = run(function, text, [a, *packed, b, *addends], p.geometry.output_shape)
    expected = reference.output(p, sums, multipliers, *addends)
    assert expected.std() > 15 or expected.size < 50, "the case tests nothing"
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize(
    "sizes",
    [(17, 64, 64), (9, 37, 70), (5, 3, 2), (1, 6, 1), (3, 130, 20)],
    ids=str,
)
@pytest.mark.parametrize("transposed", [False, True])
def test_every_byte_is_as_the_arithmetic_says(text, sizes, transposed):
    rows, depth, columns = sizes
    right = ((2, columns, depth), (0, 2, 1)) if transposed else None
    check(text, (2,), rows, depth, columns, right=right)


@pytest.mark.parametrize("text", TARGETS)
def test_operands_in_any_order(text):
    """As in attention: heads lie between rows and columns of both operands."""
    left, right = ((2, 10, 3, 8), (0, 2, 1, 3)), ((2, 12, 3, 8), (0, 2, 3, 1))
    check(text, (2, 3), 10, 8, 12, left, right)
    check(text, (2,), 6, 9, 20, ((2, 9, 6), (0, 2, 1)), ((20, 2, 9), (1, 2, 0)))


@pytest.mark.parametrize(
    "sizes",
    [(64, 64, 64), (33, 197, 50), (40, 130, 16), (70, 67, 150), (20, 96, 33)],
    ids=str,
)
@pytest.mark.parametrize("transposed", [(), ("left",), ("right",), ("left", "right")], ids=str)
def test_products_on_matrix_tiles(sizes, transposed):
    rows, depth, columns = sizes
    shapes = {"left": (2, depth, rows), "right": (2, columns, depth)}
    operands = {side: (shapes[side], (0, 2, 1)) for side in transposed}
    check("native", (2,), rows, depth, columns, **operands)
    function = batch_matmul.generate(problem((2,), *sizes, **operands), isa("native"), "kernel")
    assert ("tdpbusd" in function.script()) is isa("native").tiles


def test_an_operand_that_repeats_and_an_addition():
    check("native", (3, 2), 5, 16, 18, right=((1, 2, 16, 18), (0, 1, 2, 3)), addition=ADDITION)


@pytest.mark.parametrize("batch", [(8,), (1,)])
def test_threads_share_items_or_parts_of_one(batch):
    p = problem(batch, 400, 256, 256)
    assert "T.parallel" in batch_matmul.generate(p, isa("native"), "kernel", 3).script()
    check("native", batch, 400, 256, 256, parallel=3)


def test_arm_computes_the_same():
    check(ARM_SDOT, (2,), 9, 37, 20)
