import itertools

import numpy as np
import pytest

from assay.compiler.kernels.int8 import resize
from assay.compiler.kernels.int8.resize import QuantizedResize
from tests.compiler.kernels.int8.harness import ARM_SDOT, MAIN_TARGETS, assembly, isa, run, stored

OPTIONS = [(False, False), (True, False), (False, True)]  # align_corners, half_pixel_centers
SIZES = [(5, 7, 3, 10, 14), (9, 4, 37, 5, 6), (1, 1, 65, 4, 3), (6, 6, 1, 1, 1)]


def nearest(value, in_size, out_size, align, half):
    one = np.float32
    scale = one(in_size) / one(out_size)
    if align and out_size > 1:
        scale = one(in_size - 1) / one(out_size - 1)
    position = (one(value) + one(0.5 if half else 0)) * scale
    found = int(np.floor(position + one(0.5))) if align else int(np.floor(position))
    return max(min(found, in_size - 1), 0)


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
        if p.kind == "nearest":
            out[:, y, z] = x[:, nearest(*rows), nearest(*columns)]
            continue
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
@pytest.mark.parametrize("kind", ["nearest", "bilinear"])
def test_sizes_and_options_are_those_of_tflite(text, kind):
    for (height, width, channels, *out), options in itertools.product(SIZES, OPTIONS):
        signed = channels != 3
        check(QuantizedResize(kind, 2, height, width, channels, *out, signed, *options), text)


@pytest.mark.parametrize("kind", ["nearest", "bilinear"])
def test_threads_share_rows(kind):
    problem = QuantizedResize(kind, 1, 40, 40, 128, 120, 120, True)
    assert "T.parallel" in check(problem, "native", 3).script()


def test_it_compiles_for_arm():
    problem = QuantizedResize("bilinear", 1, 4, 4, 20, 9, 9, True)
    assert assembly(resize.generate(problem, isa(ARM_SDOT), "kernel"), ARM_SDOT)
