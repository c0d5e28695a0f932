import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels import elementwise
from assay.compiler.kernels.activations import BINARY
from assay.compiler.kernels.elementwise import Elementwise, loop_axes
from assay.compiler.kernels.epilogue import Step, clip, residual, unary
from tests.compiler.kernels import reference
from tests.compiler.kernels.harness import ARM, TARGETS, compile_kernel, isa, random, run


def check(problem, text, parallel=1):
    assert elementwise.applicable(problem)
    rng = np.random.default_rng(0)
    first, *others = [random(rng, *shape) for shape in problem.operands]
    others = [np.where(np.abs(other) < 0.1, np.float32(0.5), other) for other in others]
    function = elementwise.generate(problem, isa(text), "kernel", parallel)
    actual = run(function, text, [first, *others], problem.shape)
    start = np.broadcast_to(first.astype(np.float64), problem.shape)
    expected = reference.epilogue(problem.steps, start, others)
    np.testing.assert_allclose(actual, expected, rtol=4e-6, atol=4e-6)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("shape", [(1,), (3,), (17,), (1, 5, 7, 9), (64,), ()])
def test_any_number_of_elements(text, shape):
    check(Elementwise(shape, (shape, shape), (residual(), unary("relu"))), text)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((2, 3, 4, 21), (21,)),
        ((2, 3, 4, 21), (2, 1, 1, 21)),
        ((2, 3, 4, 21), (2, 3, 4, 1)),
        ((2, 3, 4, 21), (1, 1, 4, 1)),
        ((2, 3, 4, 21), ()),
        ((5, 1), (1, 19)),
        ((19,), (5, 1)),
        ((3, 1, 5, 1), (4, 1, 6)),
    ],
)
def test_operands_repeat_as_in_numpy(text, left, right):
    shape = np.broadcast_shapes(left, right)
    check(Elementwise(shape, (left, right), (Step("subtract", "tensor"),)), text)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("op", sorted(BINARY))
def test_binary_operators_keep_the_order_of_their_operands(text, op):
    shape = (2, 19)
    check(Elementwise(shape, (shape, shape), (Step(op, "tensor"),)), text)
    if text == TARGETS[0]:
        check(Elementwise(shape, (shape,), (Step(op, constants=(1.5,)),)), text)


@pytest.mark.parametrize("text", TARGETS)
def test_chains_take_one_operand_after_the_other(text):
    steps = (
        unary("hard_swish"),
        Step("multiply", "tensor"),
        Step("add", constants=(0.25,)),
        Step("maximum", "tensor"),
        clip(-1, 1),
        Step("subtract_from", "tensor"),
    )
    operands = ((2, 5, 17), (2, 1, 17), (17,), (2, 5, 1))
    check(Elementwise((2, 5, 17), operands, steps), text)


@pytest.mark.parametrize("parallel", [2, 5])
@pytest.mark.parametrize("right", [(1, 100, 100, 12), (12,), (1, 1, 1, 1), (100, 1)])
def test_threads_share_elements(parallel, right):
    shape = (1, 100, 100, 12)
    problem = Elementwise(shape, (shape, right), (Step("add", "tensor"),))
    assert "T.parallel" in elementwise.generate(problem, isa("native"), "kernel", parallel).script()
    check(problem, "native", parallel)


@pytest.mark.parametrize(
    ("shape", "operands", "sizes"),
    [
        ((2, 3, 4), [(2, 3, 4)], [24]),
        ((2, 3, 4), [(2, 3, 4), (4,)], [6, 4]),
        ((2, 3, 4), [(2, 3, 4), (2, 1, 1)], [2, 12]),
        ((2, 3, 4), [(2, 3, 4), (2, 3, 1)], [6, 4]),
        ((2, 3, 4), [(2, 3, 4), (3, 1)], [2, 3, 4]),
        ((1, 1), [(1, 1)], [1]),
    ],
)
def test_axes_join_where_all_operands_agree(shape, operands, sizes):
    assert [axis.size for axis in loop_axes(shape, [*operands, shape])] == sizes


def test_impossible_problems_are_refused():
    with pytest.raises(ValueError, match="broadcast"):
        Elementwise((2, 3), ((2, 3), (2,)), (residual(),))
    with pytest.raises(ValueError, match="operands"):
        Elementwise((2, 3), ((2, 3),), (residual(),))


def test_the_same_source_compiles_for_arm():
    problem = Elementwise((5, 33), ((5, 33), (33,)), (residual(), unary("swish")))
    assembly = compile_kernel(
        elementwise.generate(problem, isa(ARM), "kernel"), ARM
    ).inspect_source("asm")
    assert "fdiv" in assembly


@settings(max_examples=15, deadline=None, derandomize=True)
@given(text=st.sampled_from(TARGETS), data=st.data())
def test_any_small_problem(text, data):
    shape = tuple(data.draw(st.lists(st.integers(1, 9), max_size=4)))
    operands = []
    for _ in range(2):
        kept = shape[data.draw(st.integers(0, len(shape))) :]
        operands.append(tuple(data.draw(st.sampled_from([1, size])) for size in kept))
    op = data.draw(st.sampled_from(sorted(BINARY)))
    check(Elementwise(shape, tuple(operands), (Step(op, "tensor"),)), text)
