from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels import batch_matmul
from assay.compiler.kernels.batch_matmul import BatchMatmul, View
from assay.compiler.kernels.epilogue import Epilogue, Step, bias, gate, residual
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


def view(shape, axes, rank):
    """A tensor of ``shape`` with its axes in another order, broadcast to ``rank``."""
    steps = [0 if shape[axis] == 1 else prod(shape[axis + 1 :]) for axis in axes]
    return View(shape, (0,) * (rank - len(axes)) + tuple(steps))


def check(left, right, text, order=None, parallel=1, epilogue=Epilogue()):  # noqa: B008
    """Check a product; operands are (shape, axes), ``order`` the order of the result's axes."""
    rng = np.random.default_rng(0)
    x, y = random(rng, *left[0]), random(rng, *right[0])
    a, b = x.transpose(left[1]).astype(np.float64), y.transpose(right[1]).astype(np.float64)
    product = a @ b
    order = order or tuple(range(product.ndim))
    expected = product.transpose(order)
    place = {axis: prod(expected.shape[i + 1 : -1]) for i, axis in enumerate(order)}
    problem = BatchMatmul(
        product.shape[:-2], a.shape[-2], a.shape[-1], b.shape[-1],
        view(*left, product.ndim), view(*right, product.ndim),
        expected.shape, tuple(place[axis] for axis in range(product.ndim - 1)), epilogue,
    )  # fmt: skip
    assert batch_matmul.applicable(problem)
    function = batch_matmul.generate(problem, isa(text), "kernel", parallel)
    operands = [random(rng, *shape) for shape in epilogue.operand_shapes(expected.shape)]
    actual = run(function, text, [x, y, *operands], expected.shape)
    assert_close(actual, reference.epilogue(epilogue.steps, expected, operands), a.shape[-1])
    return function


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("size", [(1, 1, 1), (5, 33, 17), (40, 20, 70), (1, 64, 100)])
def test_either_side_may_be_transposed(text, size):
    rows, depth, columns = size
    check(((2, rows, depth), (0, 1, 2)), ((2, depth, columns), (0, 1, 2)), text)
    check(((2, rows, depth), (0, 1, 2)), ((2, columns, depth), (0, 2, 1)), text)
    check(((2, depth, rows), (0, 2, 1)), ((2, columns, depth), (0, 2, 1)), text)


def test_batch_axes_broadcast():
    check(((3, 1, 5, 7), (0, 1, 2, 3)), ((4, 7, 9), (0, 1, 2)), "native")
    check(((1, 5, 7), (0, 1, 2)), ((2, 3, 7, 9), (0, 1, 2, 3)), "native")
    check(((5, 7), (0, 1)), ((7, 9), (0, 1)), "native")


def test_heads_need_no_transposes():
    heads, swapped = (0, 2, 1, 3), (0, 2, 3, 1)
    shape = (2, 20, 3, 24)
    check((shape, heads), (shape, swapped), "native")
    check(((2, 3, 20, 20), (0, 1, 2, 3)), (shape, heads), "native", order=heads)


def test_columns_and_depth_may_both_lie_apart():
    check(((2, 3, 5), (0, 1, 2)), ((5, 4, 2), (2, 0, 1)), "native")


def test_epilogue_steps_apply_in_order():
    steps = (Step("multiply", constants=(0.5,)), bias(), gate(), residual())
    shape, heads = (2, 9, 3, 20), (0, 2, 1, 3)
    left = ((2, 3, 9, 9), (0, 1, 2, 3))
    check(left, (shape, heads), "native", order=heads, epilogue=Epilogue(steps))


@pytest.mark.parametrize("batch", [1, 6])
def test_threads_share_items_or_panels(batch):
    left, right = ((batch, 200, 64), (0, 1, 2)), ((batch, 300, 64), (0, 2, 1))
    assert "T.parallel" in check(left, right, "native", parallel=3).script()


def test_the_same_source_compiles_for_arm():
    sides = View((2, 9, 12), (108, 12, 1)), View((2, 20, 12), (240, 1, 12))
    problem = BatchMatmul((2,), 9, 12, 20, *sides, (2, 9, 20), (9, 1))
    function = batch_matmul.generate(problem, isa(ARM), "kernel")
    assert "fmla" in compile_kernel(function, ARM).inspect_source("asm")


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    text=st.sampled_from(TARGETS),
    batch=st.integers(1, 3),
    rows=st.integers(1, 40),
    depth=st.integers(1, 40),
    columns=st.integers(1, 90),
    left=st.permutations((0, 1, 2)),
    right=st.permutations((0, 1, 2)),
)
def test_any_small_problem(text, batch, rows, depth, columns, left, right):
    def stored(shape, axes):
        return tuple(shape[axes.index(axis)] for axis in range(3)), tuple(axes)

    check(stored((batch, rows, depth), left), stored((batch, depth, columns), right), text)
