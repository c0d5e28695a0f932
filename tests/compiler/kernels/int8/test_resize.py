import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels.int8 import pick, resize
from assay.compiler.kernels.int8.mixing import QuantizedResize
from assay.compiler.kernels.int8.pick import QuantizedPick
from tests.compiler.kernels.int8.harness import (
    ARM_SDOT,
    MAIN_TARGETS,
    TARGETS,
    assembly,
    isa,
    run,
    stored,
)

OPTIONS = [(False, False), (True, False), (False, True)]  # align_corners, half_pixel_centers
SIZES = [
    (5, 7, 3, 10, 14),
    (9, 4, 37, 5, 6),
    (1, 1, 65, 4, 3),
    (6, 6, 1, 1, 1),
    (12, 10, 37, 6, 5),  # halves
    (12, 70, 1, 6, 35),
    (3, 5, 40, 24, 40),  # eight times as large
    (2, 17, 1, 3, 129),
]


def linear(value, in_size, out_size, align, half):
    """TFLite's integer kernel: position in 1/1024, and the two neighbours."""
    scale = (1024 * in_size + out_size // 2) // out_size
    if align and out_size > 1:
        scale = (1024 * (in_size - 1) + (out_size - 1) // 2) // (out_size - 1)
    position = value * scale + (scale // 2 - 512 if half else 0)
    lower = max(int(position / 1024), 0)
    upper = min(int((position + 1023) / 1024), in_size - 1)
    return position, lower, upper


def expected(p, x):
    zero = 128 if p.signed else 0
    x = x.astype(np.int64) - zero
    out = np.zeros((p.batch, p.out_h, p.out_w, p.channels), np.int64)
    for y, z in np.ndindex(p.out_h, p.out_w):
        rows = (y, p.in_h, p.out_h, p.align_corners, p.half_pixel_centers)
        columns = (z, p.in_w, p.out_w, p.align_corners, p.half_pixel_centers)
        at_y, y0, y1 = linear(*rows)
        at_x, x0, x1 = linear(*columns)
        below, beside = at_y - 1024 * y0, at_x - 1024 * x0
        total = (1024 - below) * (1024 - beside) * x[:, y0, x0]
        total += (1024 - below) * beside * x[:, y0, x1]
        total += below * (1024 - beside) * x[:, y1, x0] + below * beside * x[:, y1, x1]
        out[:, y, z] = np.sign(total) * ((np.abs(total) + 2**19) >> 20)
    return (out + zero).astype(np.uint8)


def check(problem, text, parallel=1):
    p = problem
    assert resize.applicable(p)
    x = stored(np.random.default_rng(0), p.batch, p.in_h, p.in_w, p.channels)
    function = resize.generate(p, isa(text), "kernel", parallel)
    shape = (p.batch, p.out_h, p.out_w, p.channels)
    actual = run(function, text, [x, *resize.pack(p, isa(text))], shape)
    np.testing.assert_array_equal(actual, expected(p, x))
    return function


@pytest.mark.parametrize("text", MAIN_TARGETS)
@pytest.mark.parametrize("signed", [True, False])
def test_sizes_and_options_are_those_of_tflite(text, signed):
    for (height, width, channels, *out), options in itertools.product(SIZES, OPTIONS):
        check(QuantizedResize(2, height, width, channels, *out, signed, *options), text)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    text=st.sampled_from(TARGETS),
    size=st.tuples(st.integers(1, 9), st.integers(1, 40)),
    channels=st.sampled_from([1, 2, 9, 33, 70]),
    factors=st.tuples(st.sampled_from([0.25, 0.5, 1, 2, 3, 8]), st.sampled_from([0.5, 1.3, 2, 4])),
    signed=st.booleans(),
    options=st.sampled_from(OPTIONS),
)
def test_any_small_image(text, size, channels, factors, signed, options):
    # As in TFLite, the last source of some factors is beyond an image that no option aligns.
    out = [max(1, int(extent * factor)) for extent, factor in zip(size, factors, strict=True)]
    problem = QuantizedResize(1, *size, channels, *out, signed, *options)
    last = [linear(n - 1, m, n, *options)[1] for m, n in zip(size, out, strict=True)]
    if all(at < extent for at, extent in zip(last, size, strict=True)):
        check(problem, text)


def test_threads_share_rows():
    problem = QuantizedResize(1, 40, 40, 128, 120, 120, True)
    assert "T.parallel" in check(problem, "native", 3).script()


def test_it_compiles_for_arm():
    for half in (False, True):
        problem = QuantizedResize(1, 4, 4, 20, 9, 8, True, half_pixel_centers=half)
        assert assembly(resize.generate(problem, isa(ARM_SDOT), "kernel"), ARM_SDOT)


def check_pick(p, text, parallel=1):
    assert pick.applicable(p)
    x = stored(np.random.default_rng(0), p.batch, p.in_h, p.in_w, p.channels)
    function = pick.generate(p, isa(text), "kernel", parallel)
    actual = run(function, text, [x, *pick.pack(p, isa(text))], p.output_shape)
    np.testing.assert_array_equal(actual, x[:, np.array(p.rows)][:, :, np.array(p.columns)])
    return function


@pytest.mark.parametrize("text", MAIN_TARGETS)
@pytest.mark.parametrize("channels", [1, 3, 16, 17, 150])
def test_numbered_rows_and_columns_are_picked(text, channels):
    every = tuple(range(9))
    for columns in (every, every[::-1], (2, 2, 7), (*every[::2], 4, 4), (5,), (*every, 8, 8) * 4):
        check_pick(QuantizedPick(2, 4, 9, channels, (3, 0, 0, 1, 2), columns), text)


def test_long_rows_take_pixel_by_pixel():
    columns = tuple(range(700)) * 5
    check_pick(QuantizedPick(1, 2, 700, 1, (1, 0), columns), "native")


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    text=st.sampled_from(TARGETS),
    size=st.tuples(st.integers(1, 6), st.integers(1, 90)),
    channels=st.integers(1, 40),
    out=st.tuples(st.integers(1, 9), st.integers(1, 130)),
)
def test_any_small_pick(text, size, channels, out):
    rows, columns = ([i * a // b for i in range(b)] for a, b in zip(size, out, strict=True))
    check_pick(QuantizedPick(1, *size, channels, tuple(rows), tuple(columns)), text)


def test_threads_share_picked_rows():
    every = tuple(i // 2 for i in range(256))
    problem = QuantizedPick(1, 128, 128, 128, every, every)
    assert "T.parallel" in check_pick(problem, "native", 3).script()


def test_what_is_not_in_the_image_cannot_be_picked():
    with pytest.raises(ValueError, match="not in the image"):
        QuantizedPick(1, 2, 3, 1, (0, 2), (0,))


def test_nothing_to_pick_is_not_applicable():
    assert not pick.applicable(QuantizedPick(1, 2, 3, 1, (), (0,)))


def test_picks_compile_for_arm():
    problem = QuantizedPick(1, 2, 30, 3, (1, 0, 0), tuple(range(0, 30, 2)))
    assert assembly(pick.generate(problem, isa(ARM_SDOT), "kernel"), ARM_SDOT)
