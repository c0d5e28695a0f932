import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels.int8 import argmax
from assay.compiler.kernels.int8.argmax import QuantizedArg
from tests.compiler.kernels.int8.harness import (
    ARM_SDOT,
    MAIN_TARGETS,
    TARGETS,
    assembly,
    isa,
    run,
)


def check(problem, text, parallel=1, values=256):
    p = problem
    assert argmax.applicable(p)
    x = np.random.default_rng(0).integers(0, values, p.shape).astype(np.uint8)
    expected = (np.argmax if p.kind == "max" else np.argmin)(x, axis=p.axis)
    function = argmax.generate(p, isa(text), "kernel", parallel)
    actual = run(function, text, [x], expected.shape, np.dtype(p.dtype))
    np.testing.assert_array_equal(actual, expected)
    return function


SHAPES = [
    ((5, 7, 21), 2),  # classes of pixels
    ((1, 21, 5, 7), 1),
    ((3, 1001), 1),
    ((2, 300, 37), 1),
    ((4, 256), 1),
    ((9, 3), 1),
    ((2, 1, 70), 1),
    ((6, 1), 1),
    ((33, 2, 3), 0),
]


@pytest.mark.parametrize("text", MAIN_TARGETS)
@pytest.mark.parametrize("kind", ["max", "min"])
@pytest.mark.parametrize(("shape", "axis"), SHAPES, ids=str)
def test_the_first_of_equals_is_found(text, kind, shape, axis):
    for dtype, values in (("int32", 256), ("int64", 3)):
        check(QuantizedArg(kind, shape, axis, dtype), text, values=values)


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("kind", ["max", "min"])
@pytest.mark.parametrize("shape", [(2, 256), (2, 257), (2, 256, 3)], ids=str)
def test_a_lone_value_at_either_end(value, kind, shape):
    for place in (0, shape[1] - 1):
        x = np.full(shape, 255 - value, np.uint8)
        x[:, place] = value
        problem = QuantizedArg(kind, shape, 1, "int32")
        function = argmax.generate(problem, isa("native"), "kernel")
        expected = (np.argmax if kind == "max" else np.argmin)(x, axis=1)
        actual = run(function, "native", [x], expected.shape, np.int32)
        np.testing.assert_array_equal(actual, expected)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    text=st.sampled_from(TARGETS),
    kind=st.sampled_from(["max", "min"]),
    shape=st.tuples(st.integers(1, 5), st.integers(1, 400), st.integers(1, 90)),
    axis=st.integers(0, 2),
    values=st.sampled_from([1, 2, 30, 256]),
)
def test_any_small_problem(text, kind, shape, axis, values):
    check(QuantizedArg(kind, shape, axis, "int32"), text, values=values)


@pytest.mark.parametrize(("shape", "axis"), [((90000, 21), 1), ((1, 21, 90000), 1)], ids=str)
def test_threads_share_searches(shape, axis):
    assert "T.parallel" in check(QuantizedArg("max", shape, axis, "int64"), "native", 3).script()


def test_it_compiles_for_arm():
    for shape, axis in ((5, 21), 1), ((1, 21, 90), 1):
        function = argmax.generate(
            QuantizedArg("max", shape, axis, "int32"), isa(ARM_SDOT), "kernel"
        )
        assert assembly(function, ARM_SDOT)


def test_what_has_no_elements_is_not_applicable():
    assert not argmax.applicable(QuantizedArg("max", (3, 0), 1, "int32"))
    assert not argmax.applicable(QuantizedArg("max", (0, 3), 1, "int32"))
