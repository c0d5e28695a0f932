from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels import depthwise, expand_depthwise
from assay.compiler.kernels.epilogue import Epilogue, bias, clip, gate, residual, unary
from assay.compiler.kernels.expand_depthwise import ExpandDepthwise
from assay.compiler.kernels.problem import Conv2d
from tests.compiler.kernels import reference
from tests.compiler.kernels.harness import (
    ARM,
    SSE2,
    TARGETS,
    assert_close,
    compile_kernel,
    isa,
    random,
    run,
)

RELU6 = Epilogue((bias(), clip(0, 6)))


def block(image, in_c, channels, kernel=3, stride=1, batch=1, epilogues=(RELU6, RELU6), **fields):
    """An expansion and a depthwise convolution with "same" padding, unless told otherwise."""
    height, width = image
    expand = Conv2d(
        batch, height, width, in_c, height, width, channels, 1, 1, epilogue=epilogues[0]
    )
    after = {
        "out_h": -(-height // stride),
        "out_w": -(-width // stride),
        "kernel_h": kernel,
        "kernel_w": kernel,
        "stride_h": stride,
        "stride_w": stride,
        "pad_top": (kernel - 1) // 2,
        "pad_left": (kernel - 1) // 2,
        **fields,
    }
    shapes = {"batch": batch, "in_h": height, "in_w": width, "in_c": channels, "out_c": channels}
    second = Conv2d(**shapes, **after, groups=channels, epilogue=epilogues[1])
    return ExpandDepthwise(expand, second)


def check(problem, text, parallel=1):
    assert expand_depthwise.applicable(problem)
    rng = np.random.default_rng(0)
    first, second = problem.expand, problem.depthwise
    x = random(rng, *first.input_shape)
    expected, arguments = x, [x]
    for conv in (first, second):
        weights = random(rng, *conv.weights_shape)
        shapes = conv.epilogue.operand_shapes(conv.output_shape)
        operands = [random(rng, *shape) for shape in shapes]
        sums = reference.conv2d(conv, expected, weights)
        expected = reference.epilogue(conv.epilogue.steps, sums, operands)
        if conv is first:
            packed = expand_depthwise.pack(problem, isa(text), weights)
        else:
            packed = depthwise.pack(conv, isa(text), weights)
        arguments += [packed, *operands]
    function = expand_depthwise.generate(problem, isa(text), "kernel", parallel)
    actual = run(function, text, arguments, second.output_shape)
    assert_close(actual, expected, first.in_c * second.kernel_h * second.kernel_w)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize(("in_c", "channels"), [(1, 2), (3, 17), (5, 37), (16, 96)])
def test_any_number_of_channels(text, in_c, channels):
    check(block((6, 7), in_c, channels), text)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize(
    ("image", "kernel", "stride"),
    [((1, 1), 3, 1), ((7, 9), 5, 1), ((10, 9), 3, 2), ((11, 7), 5, 2), ((9, 10), 2, 3)],
)
def test_any_window_and_stride(text, image, kernel, stride):
    check(block(image, 4, 10, kernel, stride, batch=2), text)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize(
    "fields",
    [
        {"pad_top": 0, "pad_left": 0, "out_h": 6, "out_w": 6},
        {"pad_top": 0, "pad_left": 2},
        {"pad_top": 6, "pad_left": 5, "out_h": 18, "out_w": 17},
    ],
)
def test_any_padding(text, fields):
    check(block((8, 8), 3, 6, **fields), text)


@pytest.mark.parametrize("text", TARGETS)
def test_both_epilogues_apply_in_order(text):
    first = Epilogue((bias(), unary("hard_swish"), gate()))
    second = Epilogue((residual(), bias(), unary("relu")))
    check(block((5, 6), 3, 18, batch=2, epilogues=(first, second)), text)


@pytest.mark.parametrize("parallel", [2, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_threads_take_bands_of_rows(parallel, stride):
    problem = block((21, 20), 16, 64, stride=stride, batch=2)
    function = expand_depthwise.generate(problem, isa("native"), "kernel", parallel)
    assert "T.parallel" in function.script()
    check(problem, "native", parallel)


def test_the_same_source_compiles_for_arm():
    function = expand_depthwise.generate(block((9, 9), 4, 24), isa(ARM), "kernel")
    assert "fmla" in compile_kernel(function, ARM).inspect_source("asm")


def test_only_blocks_that_fit_together_are_applicable():
    problem = block((8, 8), 4, 12)
    assert expand_depthwise.applicable(problem)
    strided = replace(problem.expand, stride_h=2, stride_w=2, out_h=4, out_w=4)
    assert not expand_depthwise.applicable(replace(problem, expand=strided))
    gated = replace(problem.expand, input_gate=True)
    assert not expand_depthwise.applicable(replace(problem, expand=gated))
    other = block((8, 8), 4, 13).depthwise
    assert not expand_depthwise.applicable(replace(problem, depthwise=other))
    multiplied = replace(problem.depthwise, out_c=24)
    assert not expand_depthwise.applicable(replace(problem, depthwise=multiplied))


def test_it_is_worthwhile_where_moving_the_expanded_image_dominates():
    avx512 = isa(f"{SSE2} -mcpu=skylake-avx512")
    assert expand_depthwise.worthwhile(block((112, 112), 16, 96, stride=2), avx512)
    assert not expand_depthwise.worthwhile(block((7, 7), 160, 960), avx512)
    assert not expand_depthwise.worthwhile(block((112, 112), 16, 96, stride=2), isa(SSE2))


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    text=st.sampled_from(TARGETS),
    batch=st.integers(1, 2),
    image=st.tuples(st.integers(1, 10), st.integers(1, 10)),
    in_c=st.integers(1, 9),
    channels=st.integers(2, 40),
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
)
def test_any_small_block(text, batch, image, in_c, channels, kernel, stride):
    check(block(image, in_c, channels, kernel, stride, batch), text)
