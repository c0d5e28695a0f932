"""Transposes, in squares of registers or by shuffles, put every element in its place."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels import move
from assay.compiler.kernels.move import Box, Loop, Move, transpose
from tests.compiler.kernels.int8.harness import (
    ARM_SDOT,
    MAIN_TARGETS,
    TARGETS,
    assembly,
    isa,
    run,
)

TO_NCHW, TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)


def check(text, dtype, shape, axes, parallel=1):
    problem = transpose(dtype, shape, axes)
    x = np.random.default_rng(0).integers(0, 120, shape).astype(dtype)
    function = move.generate(problem, isa(text), "kernel", parallel)
    actual = run(function, text, [x], problem.output_shape, np.dtype(dtype))
    np.testing.assert_array_equal(actual, x.transpose(axes))
    return function


CASES = [
    ((1, 9, 7, 3), TO_NCHW),  # an RGB image
    ((1, 3, 9, 7), TO_NHWC),
    ((2, 12, 12, 16), TO_NCHW),
    ((2, 21, 5, 7), TO_NHWC),
    ((1, 13, 11, 40), TO_NCHW),
    ((3, 4, 5, 6), (3, 1, 2, 0)),
    ((6, 5), (1, 0)),
    ((2, 2), (1, 0)),
    ((4, 100, 2), (0, 2, 1)),
    ((21, 3, 2, 9, 2), (2, 4, 1, 3, 0)),  # from pixels to patches of 2x2 and back
    ((2, 2, 3, 9, 21), (4, 2, 0, 3, 1)),
    ((7, 3, 4, 5, 4), (2, 4, 1, 3, 0)),
    ((4, 4, 3, 5, 7), (4, 2, 0, 3, 1)),
    ((6, 3, 5), (2, 1, 0)),
]


@pytest.mark.parametrize("text", MAIN_TARGETS)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize(("shape", "axes"), CASES, ids=str)
def test_axes_change_places(text, dtype, shape, axes):
    check(text, dtype, shape, axes)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    text=st.sampled_from(TARGETS),
    dtype=st.sampled_from(["int8", "float32", "int32"]),
    shape=st.tuples(*[st.integers(1, 20)] * 3),
    axes=st.permutations([0, 1, 2]),
)
def test_any_small_tensor(text, dtype, shape, axes):
    check(text, dtype, shape, tuple(axes))


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    text=st.sampled_from(TARGETS),
    dtype=st.sampled_from(["int8", "float32"]),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 5), *[st.integers(1, 9)] * 2),
    axes=st.permutations([0, 1, 2, 3]),
)
def test_any_axes(text, dtype, shape, axes):
    check(text, dtype, shape, tuple(axes))


@pytest.mark.parametrize("shape", [(1, 200, 200, 3), (1, 200, 200, 64), (1, 1, 9000, 16)], ids=str)
@pytest.mark.parametrize("axes", [TO_NCHW, TO_NHWC], ids=str)
def test_threads_share_vectors(shape, axes):
    shape = shape if axes == TO_NCHW else tuple(shape[axis] for axis in TO_NCHW)
    assert "T.parallel" in check("native", "uint8", shape, axes, 3).script()


def test_only_a_part_of_a_tensor():
    loops = (Loop(3, 50, 1), Loop(10, 1, 7))
    problem = Move("uint8", ((20, 7),), (3, 50), (Box(0, 5, 2, loops),))
    x = np.random.default_rng(0).integers(0, 256, (20, 7)).astype(np.uint8)
    function = move.generate(problem, isa("native"), "kernel")
    actual = run(function, "native", [x], (3, 50), fill=9)
    wanted = np.full((3, 50), 9, np.uint8)
    wanted[:, 5:15] = x[:10, 2:5].T
    np.testing.assert_array_equal(actual, wanted)


def test_it_compiles_for_arm():
    for dtype in ("uint8", "float32"):
        problem = transpose(dtype, (1, 9, 7, 24), TO_NCHW)
        assert assembly(move.generate(problem, isa(ARM_SDOT), "kernel"), ARM_SDOT)
