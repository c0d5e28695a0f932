import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels.int8 import elementwise
from assay.compiler.kernels.int8.elementwise import (
    Operand,
    QuantizedAdd,
    QuantizedMultiply,
    QuantizedPrelu,
    Requantize,
)
from assay.compiler.kernels.int8.stored import StoredRange
from tests.compiler.kernels.int8 import reference
from tests.compiler.kernels.int8.harness import (
    ARM_SDOT,
    MAIN_TARGETS,
    TARGETS,
    assembly,
    isa,
    run,
    stored,
)

TARGET = StoredRange(100, 3, 250)

SHAPES = [
    ((7,), (7,), (7,)),
    ((3, 5, 64), (3, 5, 64), (3, 5, 64)),
    ((2, 5, 7, 19), (2, 5, 7, 19), (19,)),
    ((2, 5, 7, 19), (2, 1, 1, 19), (2, 5, 7, 19)),
    ((4, 9, 33), (4, 9, 1), (1, 1, 33)),
    ((3, 200), (3, 1), (200,)),
    ((1,), (1,), (1,)),
]


def add(shape, left, right, **fields):
    values = {"left_factor": 0.7, "right_factor": 0.9, "output": TARGET, **fields}
    return QuantizedAdd(shape, Operand(left, 120), right=Operand(right, 3), **values)


def multiply(shape, left, right, factor=0.013, output=TARGET):
    return QuantizedMultiply(shape, Operand(left, 120), Operand(right, 99), factor, output)


def prelu(shape, left, right, factor=0.8, slope_factor=0.011, output=TARGET):
    ends = Operand(left, 120), factor, Operand(right, 99), slope_factor
    return QuantizedPrelu(shape, *ends, output)


def expected(problem, *inputs):
    if isinstance(problem, Requantize):
        x = reference.centred(inputs[0], problem.input.zero_point, problem.factor)
        return reference.quantize(x, problem.output)
    operands = zip(inputs, (problem.left, problem.right), strict=True)
    left, right = (x.astype(np.int32) - operand.zero_point for x, operand in operands)
    if isinstance(problem, QuantizedMultiply):
        product = (left * right).astype(np.float32) * np.float32(problem.factor)
        return reference.quantize(product, problem.output)
    if isinstance(problem, QuantizedPrelu):
        above = left.astype(np.float32) * np.float32(problem.factor)
        below = (left * right).astype(np.float32) * np.float32(problem.slope_factor)
        return reference.quantize(np.where(left > 0, above, below), problem.output)
    total = reference.centred(left, 0, problem.left_factor)
    total = total + reference.centred(right, 0, problem.right_factor)
    return reference.quantize(total * total if problem.squared else total, problem.output)


def check(problem, text, parallel=1, seed=0):
    rng = np.random.default_rng(seed)
    unary = isinstance(problem, Requantize)
    operands = [problem.input] if unary else [problem.left, problem.right]
    inputs = [stored(rng, *operand.shape) for operand in operands]
    shape = problem.input.shape if unary else problem.shape
    assert elementwise.applicable(problem)
    function = elementwise.generate(problem, isa(text), "kernel", parallel)
    result = expected(problem, *inputs)
    np.testing.assert_array_equal(run(function, text, inputs, shape), result)


@pytest.mark.parametrize("text", MAIN_TARGETS)
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_sums_broadcast(text, shapes):
    check(add(*shapes), text)


@pytest.mark.parametrize("text", MAIN_TARGETS)
@pytest.mark.parametrize("shapes", SHAPES[:3], ids=str)
def test_products_broadcast(text, shapes):
    check(multiply(*shapes), text)


@pytest.mark.parametrize("text", MAIN_TARGETS)
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_slopes_broadcast(text, shapes):
    check(prelu(*shapes), text)
    check(prelu(*shapes, factor=1e8, slope_factor=3e9), text)  # limited before it is rounded


@pytest.mark.parametrize("text", MAIN_TARGETS)
@pytest.mark.parametrize("shapes", SHAPES[:5], ids=str)
def test_squares_of_differences_broadcast(text, shapes):
    check(add(*shapes, left_factor=0.1, right_factor=-0.09, squared=True), text)
    check(add(*shapes, left_factor=1e9, right_factor=-1e9, squared=True), text)


@pytest.mark.parametrize("text", MAIN_TARGETS)
def test_a_negative_factor_subtracts(text):
    check(add((500,), (500,), (500,), right_factor=-1.1), text)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("factor", [1.0, 0.1, 3.7, 1e-30, 1e30])
def test_every_value_requantizes(text, factor):
    x = np.arange(256, dtype=np.uint8)
    for zero_point in (0, 77):
        problem = Requantize(Operand((256,), zero_point), factor, TARGET)
        function = elementwise.generate(problem, isa(text), "kernel")
        np.testing.assert_array_equal(run(function, text, [x], (256,)), expected(problem, x))


def test_a_clamp_alone_touches_no_floats():
    relu6 = Requantize(Operand((1000,), 7), 1.0, StoredRange(7, 7, 130))
    function = elementwise.generate(relu6, isa("native"), "kernel")
    assert "float32" not in function.script()
    x = stored(np.random.default_rng(0), 1000)
    np.testing.assert_array_equal(run(function, "native", [x], (1000,)), np.clip(x, 7, 130))


@pytest.mark.parametrize("shapes", [SHAPES[1], ((4, 300, 64), (4, 300, 64), (64,))], ids=str)
def test_threads_share_the_work(shapes):
    large = tuple((*shape[:-2], 400, shape[-1]) if len(shape) > 2 else shape for shape in shapes)
    problem = add(*large)
    assert "T.parallel" in elementwise.generate(problem, isa("native"), "kernel", 3).script()
    check(problem, "native", 3)


@pytest.mark.parametrize(
    "problem", [add(*SHAPES[1]), multiply(*SHAPES[1])], ids=["add", "multiply"]
)
def test_they_compile_for_arm(problem):
    code = assembly(elementwise.generate(problem, isa(ARM_SDOT), "kernel"), ARM_SDOT)
    assert "fmla" not in code


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    text=st.sampled_from(TARGETS),
    shape=st.lists(st.integers(1, 20), min_size=1, max_size=4),
    repeats=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=4, max_size=4),
    product=st.booleans(),
    factor=st.floats(2.0**-12, 4, width=32),
)
def test_any_small_problem(text, shape, repeats, product, factor):
    pairs = list(zip(shape, repeats, strict=False))
    left = tuple(1 if once else n for n, (once, _) in pairs)
    right = tuple(1 if once else n for n, (_, once) in pairs)
    whole = np.broadcast_shapes(left, right)
    if product:
        check(multiply(whole, left, right, factor), text)
    else:
        check(add(whole, left, right, left_factor=factor), text)
