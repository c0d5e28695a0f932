from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels import transposed
from assay.compiler.kernels.epilogue import Epilogue, bias, clip, gate, residual, unary
from assay.compiler.kernels.transposed import TransposedConv2d
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


def problem(image, channels, kernel, stride=(1, 1), pad=(0, 0), extra=(0, 0), **fields):
    """The output reaches to the last tap, less ``pad`` at each side, ``extra`` more at the end."""
    out_h, out_w = (
        (size - 1) * s + k - 2 * p + e
        for size, k, s, p, e in zip(image, kernel, stride, pad, extra, strict=True)
    )
    return TransposedConv2d(
        fields.pop("batch", 1), *image, channels[0], out_h, out_w, channels[1], *kernel, *stride,
        *pad, **fields,
    )  # fmt: skip


def added(p, x, weights):
    """The definition: each input pixel adds its share to the outputs that it reaches."""
    out = np.zeros((p.batch, p.out_h, p.out_w, p.groups, p.out_c // p.groups))
    x = x.astype(np.float64).reshape(*x.shape[:3], p.groups, -1)
    weights = weights.astype(np.float64).reshape(*weights.shape[:3], p.groups, -1)
    for y, i in np.ndindex(p.in_h, p.kernel_h):
        row = y * p.stride_h + i - p.pad_top
        for z, j in np.ndindex(p.in_w, p.kernel_w):
            column = z * p.stride_w + j - p.pad_left
            if 0 <= row < p.out_h and 0 <= column < p.out_w:
                out[:, row, column] += np.einsum("bgi,igo->bgo", x[:, y, z], weights[i, j])
    return out.reshape(p.batch, p.out_h, p.out_w, p.out_c)


def check(p, text, parallel=1, algorithm=transposed, caches=None):
    assert algorithm.applicable(p)
    rng = np.random.default_rng(0)
    x, weights = random(rng, *p.input_shape), random(rng, *p.weights_shape)
    shapes = p.epilogue.operand_shapes(p.output_shape, p.channel_axis)
    operands = [random(rng, *shape) for shape in shapes]
    machine = replace(isa(text), **caches or {})
    function = algorithm.generate(p, machine, "kernel", parallel)
    packed = algorithm.pack(p, machine, weights)
    actual = run(function, text, [x, packed, *operands], p.output_shape)

    def channels_last(array):
        return np.moveaxis(array, p.channel_axis, -1) if array.ndim == 4 else array

    operands = [channels_last(operand) for operand in operands]
    sums = added(p, channels_last(x), weights)
    expected = reference.epilogue(p.epilogue.steps, sums, operands)
    assert_close(channels_last(actual), expected, int(np.prod(p.weights_shape[:3])))


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize(
    ("kernel", "stride", "pad", "extra"),
    [
        ((2, 2), (2, 2), (0, 0), (0, 0)),
        ((3, 3), (2, 2), (1, 0), (1, 1)),
        ((4, 3), (2, 1), (1, 1), (0, 0)),
        ((1, 2), (3, 2), (0, 0), (2, 0)),  # rows that nothing adds to
        ((2, 1), (1, 4), (0, 0), (0, 3)),  # columns that nothing adds to
        ((5, 7), (3, 2), (4, 5), (0, 1)),
    ],
)
def test_any_window_and_stride(text, kernel, stride, pad, extra):
    check(problem((5, 9), (7, 19), kernel, stride, pad, extra), text)


@pytest.mark.parametrize("channels", [(1, 1), (3, 70), (130, 5)])
def test_any_number_of_channels(channels):
    check(problem((4, 11), channels, (3, 3), (2, 2), (1, 1), batch=2), "native")


def test_groups():
    check(problem((4, 5), (6, 15), (3, 2), (2, 2), groups=3), "native")


def test_epilogue_steps_apply_in_order():
    steps = (bias(), gate(), residual(), unary("swish"), clip(-0.1, 0.5))
    check(problem((4, 5), (6, 17), (3, 3), (2, 3), batch=2, epilogue=Epilogue(steps)), "native")


@pytest.mark.parametrize("channels", [(64, 32), (96, 300)])
def test_threads_share_the_work(channels):
    p = problem((20, 20), channels, (2, 2), (2, 2))
    assert "T.parallel" in transposed.generate(p, isa("native"), "kernel", 3).script()
    check(p, "native", 3)


def test_the_same_source_compiles_for_arm():
    function = transposed.generate(problem((5, 5), (8, 8), (3, 3), (2, 2)), isa(ARM), "kernel")
    assert "fmla" in compile_kernel(function, ARM).inspect_source("asm")


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    text=st.sampled_from(TARGETS),
    batch=st.integers(1, 2),
    image=st.tuples(st.integers(1, 6), st.integers(1, 12)),
    channels=st.tuples(st.integers(1, 20), st.integers(1, 40)),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    data=st.data(),
)
def test_any_small_problem(text, batch, image, channels, kernel, stride, data):
    pad, extra = cropping(data, image, kernel, stride)
    check(problem(image, channels, kernel, stride, pad, extra, batch=batch), text)


def cropping(data, image, kernel, stride):
    """Draw how many outputs to drop at each side, and how many to add at the end."""
    pad, extra = [], []
    for size, k, s in zip(image, kernel, stride, strict=True):
        pad.append(data.draw(st.integers(0, min(k - 1, ((size - 1) * s + k - 1) // 2))))
        extra.append(data.draw(st.integers(0, s - 1)))
    return pad, extra
