import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels import resampling, resize, resize_lines
from assay.compiler.kernels.epilogue import Epilogue, bias, clip, gate, residual, unary
from assay.compiler.kernels.resize import Resize
from tests.compiler.kernels import reference
from tests.compiler.kernels.harness import ARM, TARGETS, compile_kernel, isa, random, run

MODES = ["half_pixel", "align_corners", "asymmetric"]


def linear(old, new, mode):
    """The matrix [new, old] of linear interpolation, from its definition, in float64."""
    matrix = np.zeros((new, old))
    for index in range(new):
        if mode == "half_pixel":
            position = (index + 0.5) * old / new - 0.5
        elif mode == "align_corners":
            position = index * (old - 1) / max(new - 1, 1)
        else:
            position = index * old / new
        position = min(max(position, 0.0), old - 1.0)
        lower = int(position)
        matrix[index, lower] += 1 - (position - lower)
        matrix[index, min(lower + 1, old - 1)] += position - lower
    return matrix


def matrix_of(axis):
    matrix = np.zeros((axis.outputs, axis.inputs))
    for index, (sources, weights) in enumerate(zip(axis.sources, axis.weights, strict=True)):
        np.add.at(matrix[index], list(sources), weights)
    return matrix


def bilinear(image, channels, made, mode="half_pixel", batch=1, **fields):
    axes = [resampling.linear(old, new, mode) for old, new in zip(image, made, strict=True)]
    return Resize(batch, channels, *axes, **fields)


def check(problem, text, parallel=1, generator=None):
    """Compare with the product by each axis' matrix; returns the kernel."""
    p = problem
    generator = generator or next(g for g in (resize_lines, resize) if g.applicable(p))
    assert generator.applicable(p)
    rng = np.random.default_rng(0)
    x = random(rng, *p.input_shape)
    shapes = p.epilogue.operand_shapes(p.output_shape, p.channel_axis)
    operands = [random(rng, *shape) for shape in shapes]
    function = generator.generate(p, isa(text), "kernel", parallel)
    actual = run(function, text, [x, *resize.tables(p), *operands], p.output_shape)

    def last(array):
        return np.moveaxis(array, p.channel_axis, -1) if array.ndim == 4 else array

    whole = np.einsum("yh,xw,nhwc->nyxc", matrix_of(p.rows), matrix_of(p.columns), last(x))
    expected = reference.epilogue(p.epilogue.steps, whole, list(map(last, operands)))
    np.testing.assert_allclose(last(actual), expected, rtol=2e-6, atol=2e-6)
    return function


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("old", [1, 2, 7, 16])
@pytest.mark.parametrize("new", [1, 2, 5, 21, 32])
def test_weights_of_linear_are_those_of_the_definition(mode, old, new):
    expected = linear(old, new, mode)
    np.testing.assert_allclose(matrix_of(resampling.linear(old, new, mode)), expected, atol=4e-6)


def test_weights_of_cubic_sum_to_one_and_hit_whole_positions():
    for exclude in (False, True):
        matrix = matrix_of(resampling.cubic(5, 13, "half_pixel", -0.75, exclude))
        np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-6)
    exact = matrix_of(resampling.cubic(4, 10, "align_corners", -0.5, False))
    np.testing.assert_allclose(exact[::3], np.eye(4), atol=1e-6)


def test_what_is_unknown_has_no_weights():
    assert resampling.linear(4, 8, "tf_crop_and_resize") is None
    assert resampling.cubic(4, 8, "tf_crop_and_resize", -0.5, False) is None
    assert resampling.nearest(4, 8, "asymmetric", "round") is None


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("made", [(10, 14), (9, 5), (1, 23)])
@pytest.mark.parametrize("channels", [1, 3, 21, 300])
def test_bilinear_of_any_size_and_channels(text, mode, made, channels):
    check(bilinear((5, 7), channels, made, mode, batch=2), text)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("made", [(10, 14), (9, 5)])
def test_bilinear_in_nchw(text, made):
    for steps in ((), (bias(), residual(), gate(), clip(-0.5, 0.5)), (unary("sigmoid"),)):
        check(bilinear((5, 7), 3, made, batch=2, layout="NCHW", epilogue=Epilogue(steps)), text)


@pytest.mark.parametrize("channels", [2, 37])
def test_epilogue_steps_apply_in_order(channels):
    for steps in ((bias(), residual(), clip(-0.5, 0.5)), (residual(), unary("swish"))):
        for made in ((10, 14), (3, 4)):
            check(bilinear((5, 7), channels, made, epilogue=Epilogue(steps)), "native")


@pytest.mark.parametrize("channels", [1, 40])
def test_each_axis_has_its_own_taps(channels):
    axes = [
        resampling.picked(6, [5, 0, 0, 3]),
        resampling.linear(6, 9, "half_pixel"),
        resampling.cubic(6, 11, "half_pixel", -0.75, True),
    ]
    for rows in axes:
        for columns in axes:
            check(Resize(1, channels, rows, columns), "native")


def test_long_rows_of_few_channels_are_not_unrolled():
    problem = bilinear((2, 300), 2, (3, 600))
    assert not resize_lines.applicable(problem)
    check(problem, "native")


def test_wide_rows_are_mixed_in_panels():
    check(bilinear((2, 40), 150, (3, 80)), "native")


def test_threads_share_rows():
    for layout in ("NHWC", "NCHW"):
        problem = bilinear((20, 20), 64, (40, 40), layout=layout)
        assert "T.parallel" in check(problem, "native", 3).script()


def test_the_same_source_compiles_for_arm():
    for channels, generator in ((40, resize), (3, resize_lines)):
        function = generator.generate(bilinear((5, 7), channels, (10, 14)), isa(ARM), "kernel")
        assert "fmla" in compile_kernel(function, ARM).inspect_source("asm")


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    text=st.sampled_from(TARGETS),
    mode=st.sampled_from(MODES),
    image=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    made=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    channels=st.integers(1, 90),
    layout=st.sampled_from(["NHWC", "NCHW"]),
)
def test_any_small_problem(text, mode, image, made, channels, layout):
    check(bilinear(image, channels, made, mode, layout=layout), text)
