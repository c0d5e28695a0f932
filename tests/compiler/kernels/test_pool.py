import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels import pool
from assay.compiler.kernels.epilogue import Epilogue, bias, clip, residual
from assay.compiler.kernels.pool import Pool2d
from tests.compiler.kernels import reference
from tests.compiler.kernels.harness import ARM, TARGETS, compile_kernel, isa, random, run


def pool_problem(
    kind, image, channels, kernel, stride=(1, 1), pad=(0, 0), dilation=(1, 1), **fields
):
    """Pooling with the output that fits between ``pad`` at each side."""
    sizes = [
        (size + 2 * p - (k - 1) * d - 1) // s + 1
        for size, p, k, s, d in zip(image, pad, kernel, stride, dilation, strict=True)
    ]
    return Pool2d(
        **{
            "kind": kind,
            "batch": 1,
            "in_h": image[0],
            "in_w": image[1],
            "channels": channels,
            "out_h": sizes[0],
            "out_w": sizes[1],
            "kernel_h": kernel[0],
            "kernel_w": kernel[1],
            "stride_h": stride[0],
            "stride_w": stride[1],
            "pad_top": pad[0],
            "pad_left": pad[1],
            "dilation_h": dilation[0],
            "dilation_w": dilation[1],
            **fields,
        }
    )


def pooled(p, x):
    """Pooling by its definition, in float64."""
    out = np.zeros(p.output_shape)
    for y, z in np.ndindex(p.out_h, p.out_w):
        top, left = y * p.stride_h - p.pad_top, z * p.stride_w - p.pad_left
        taps = [
            x[:, row, column].astype(np.float64)
            for row in range(top, top + p.kernel_h * p.dilation_h, p.dilation_h)
            for column in range(left, left + p.kernel_w * p.dilation_w, p.dilation_w)
            if 0 <= row < p.in_h and 0 <= column < p.in_w
        ]
        if p.border is not None:
            beside = p.kernel_h * p.kernel_w - len(taps)
            taps += [np.full_like(out[:, y, z], p.border)] * beside
        out[:, y, z] = (np.max if p.kind == "max" else np.mean)(taps, axis=0)
    return out


def check(problem, text, parallel=1):
    assert pool.applicable(problem)
    rng = np.random.default_rng(0)
    x = random(rng, *problem.input_shape) - 2  # so that a padding of zeros would show in a maximum
    shapes = problem.epilogue.operand_shapes(problem.output_shape)
    operands = [random(rng, *shape) for shape in shapes]
    function = pool.generate(problem, isa(text), "kernel", parallel)
    actual = run(function, text, [x, *operands], problem.output_shape)
    expected = reference.epilogue(problem.epilogue.steps, pooled(problem, x), operands)
    np.testing.assert_allclose(actual, expected, rtol=4e-6)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("kind", ["max", "average"])
@pytest.mark.parametrize("channels", [1, 17, 300])
def test_any_number_of_channels(text, kind, channels):
    check(pool_problem(kind, (7, 8), channels, (3, 3), (2, 2), (1, 1)), text)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("kind", ["max", "average"])
@pytest.mark.parametrize("channels", [1, 130])
@pytest.mark.parametrize("image", [(1, 1), (5, 9)])
def test_the_whole_image(text, kind, channels, image):
    check(pool_problem(kind, image, channels, image, batch=2), text)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("kind", ["max", "average"])
@pytest.mark.parametrize("border", [None, 0.0])
def test_padding_may_count(text, kind, border):
    check(pool_problem(kind, (5, 6), 9, (3, 4), (1, 1), (2, 1), border=border), text)


@pytest.mark.parametrize("border", [-3.5, 7.0])
def test_a_border_of_any_value(border):
    check(pool_problem("max", (5, 1), 35, (2, 2), (2, 1), (3, 1), border=border), "native")


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("kind", ["max", "average"])
def test_epilogue_steps_apply_in_order(text, kind):
    epilogue = Epilogue((bias(), residual(), clip(-1.5, 1)))
    check(pool_problem(kind, (5, 6), 9, (2, 2), batch=2, epilogue=epilogue), text)


def test_threads_share_rows():
    problem = pool_problem("max", (40, 40), 64, (3, 3))
    assert "T.parallel" in pool.generate(problem, isa("native"), "kernel", 3).script()
    check(problem, "native", 3)


def test_dilated_windows_skip_pixels():
    problem = pool_problem("max", (5, 5), 2, (2, 2), out_h=3, out_w=3, dilation_h=2, dilation_w=2)
    x = np.arange(50, dtype=np.float32).reshape(1, 5, 5, 2)
    function = pool.generate(problem, isa("native"), "kernel")
    np.testing.assert_array_equal(
        run(function, "native", [x], problem.output_shape), x[:, 2:, 2:, :]
    )


def test_the_same_source_compiles_for_arm():
    function = pool.generate(pool_problem("average", (7, 7), 33, (7, 7)), isa(ARM), "kernel")
    assert "fadd" in compile_kernel(function, ARM).inspect_source("asm")


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    text=st.sampled_from(TARGETS),
    kind=st.sampled_from(["max", "average"]),
    batch=st.integers(1, 3),
    image=st.tuples(st.integers(3, 12), st.integers(3, 12)),
    channels=st.integers(1, 90),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    data=st.data(),
)
def test_any_small_problem(text, kind, batch, image, channels, kernel, stride, data):
    pad = tuple(data.draw(st.integers(0, k - 1)) for k in kernel)
    check(pool_problem(kind, image, channels, kernel, stride, pad, batch=batch), text)
