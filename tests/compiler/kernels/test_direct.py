import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels import direct
from assay.compiler.kernels.epilogue import Epilogue, bias, clip, gate, residual, unary
from assay.compiler.kernels.problem import Conv2d
from tests.compiler.kernels.harness import (
    ARM,
    TARGETS,
    check_conv2d,
    compile_kernel,
    innermost_blocks,
    isa,
)


def conv_problem(image, in_c, out_c, kernel, stride=(1, 1), dilation=(1, 1), **fields):
    """A convolution whose output is the image's size over the stride, unless told otherwise."""
    (height, width), (kernel_h, kernel_w) = image, kernel
    return Conv2d(
        **{
            "batch": 1,
            "in_h": height,
            "in_w": width,
            "in_c": in_c,
            "out_h": -(-height // stride[0]),
            "out_w": -(-width // stride[1]),
            "out_c": out_c,
            "kernel_h": kernel_h,
            "kernel_w": kernel_w,
            "stride_h": stride[0],
            "stride_w": stride[1],
            "pad_top": (kernel_h - 1) // 2 * dilation[0],
            "pad_left": (kernel_w - 1) // 2 * dilation[1],
            "dilation_h": dilation[0],
            "dilation_w": dilation[1],
            "epilogue": Epilogue((bias(),)),
            **fields,
        }
    )


def check(problem, text, parallel=1):
    check_conv2d(direct, problem, text, parallel)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize(("in_c", "out_c"), [(1, 1), (3, 5), (5, 37), (17, 3)])
def test_any_number_of_channels(text, in_c, out_c):
    check(conv_problem((7, 8), in_c, out_c, (3, 3)), text)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("in_c", [10, 15, 16, 31, 32, 33, 34])
def test_turns_of_one_or_two_steps_in_one_loop_or_two(text, in_c):
    check(conv_problem((4, 7), in_c, 35, (3, 3), (2, 1)), text)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize(
    ("image", "kernel"),
    [
        ((1, 1), (3, 3)),
        ((7, 7), (5, 5)),
        ((9, 10), (7, 4)),
        ((1, 20), (1, 5)),
        ((20, 1), (9, 1)),
        ((10, 25), (1, 1)),
        ((5, 30), (2, 20)),
    ],
)
def test_any_window_on_any_image(text, image, kernel):
    check(conv_problem(image, 3, 9, kernel), text)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize(
    ("stride", "dilation"),
    [((2, 2), (1, 1)), ((1, 2), (2, 2)), ((3, 3), (1, 3)), ((3, 1), (2, 1))],
)
def test_any_stride_and_dilation(text, stride, dilation):
    check(conv_problem((11, 13), 6, 10, (3, 3), stride, dilation, batch=2), text)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize(
    "fields",
    [
        {"pad_top": 0, "pad_left": 0},
        {"pad_top": 0, "pad_left": 0, "out_h": 6, "out_w": 7},
        {"pad_top": 3, "pad_left": 1, "out_h": 12, "out_w": 9},
        {"pad_top": 9, "pad_left": 12, "out_h": 20, "out_w": 30},
    ],
    ids=["after", "none", "uneven", "more-than-the-image"],
)
def test_any_padding(text, fields):
    check(conv_problem((8, 9), 3, 6, (3, 3), **fields), text)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize(
    ("groups", "in_c", "out_c"), [(2, 6, 10), (3, 9, 3), (4, 8, 72), (5, 5, 15), (5, 5, 5)]
)
def test_groups_see_only_their_channels(text, groups, in_c, out_c):
    check(conv_problem((6, 7), in_c, out_c, (3, 3), batch=2, groups=groups), text)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize(
    "steps",
    [
        (bias(), clip(0, 6)),
        (bias(), unary("hard_swish"), gate()),
        (residual(), bias(), unary("relu")),
        (),
    ],
    ids=lambda steps: "-".join(step.op for step in steps),
)
def test_epilogue_steps_apply_in_order(text, steps):
    check(conv_problem((5, 9), 3, 18, (3, 3), batch=3, epilogue=Epilogue(steps)), text)


@pytest.mark.parametrize("text", TARGETS)
def test_weights_larger_than_the_caches_are_blocked(text):
    check(conv_problem((8, 7), 60, 80, (3, 3)), text)


@pytest.mark.parametrize("parallel", [2, 5])
@pytest.mark.parametrize(
    ("image", "in_c", "out_c", "groups"),
    [((29, 30), 6, 64, 1), ((3, 3), 160, 256, 1), ((4, 4), 128, 256, 2)],
    ids=["rows", "panels", "groups"],
)
def test_threads_share_rows_or_panels(parallel, image, in_c, out_c, groups):
    problem = conv_problem(image, in_c, out_c, (3, 3), groups=groups)
    function = direct.generate(problem, isa("native"), "kernel", parallel)
    assert "T.parallel" in function.script()
    check(problem, "native", parallel)


@pytest.mark.parametrize("columns", [64, 67, 9])
def test_threads_share_the_tiles_of_a_single_row(columns):
    problem = conv_problem((1, columns), 48, 96, (1, 3), dilation=(1, 2))
    function = direct.generate(problem, isa("native"), "kernel", 2)
    assert "T.parallel" in function.script()
    check(problem, "native", 2)


@pytest.mark.skipif(isa("native").arch != "x86_64", reason="reads x86 assembly")
@pytest.mark.parametrize("text", [*TARGETS, "llvm -mtriple=x86_64-linux-gnu -mcpu=znver5"])
def test_sums_stay_in_registers(text):
    problem = conv_problem((56, 56), 128, 128, (3, 3), (2, 2), pad_top=0, pad_left=0)
    module = compile_kernel(direct.generate(problem, isa(text), "kernel"), text)
    blocks = innermost_blocks(module, isa(text))
    assert blocks
    assert not any(re.search(r"[xyz]mm.*\(%rsp\)|\(%rsp\).*[xyz]mm", block) for block in blocks)


def test_the_same_source_compiles_for_arm():
    module = compile_kernel(
        direct.generate(conv_problem((9, 9), 3, 33, (3, 3)), isa(ARM), "kernel"), ARM
    )
    assert "fmla" in module.inspect_source("asm")


def test_a_gated_input_is_not_applicable():
    problem = conv_problem((5, 5), 4, 8, (3, 3))
    assert direct.applicable(problem)
    assert not direct.applicable(replace(problem, input_gate=True))


def test_packing_keeps_each_group_together():
    problem = conv_problem((5, 5), 4, 8, (1, 1), groups=2)
    weights = np.arange(16, dtype=np.float32).reshape(1, 1, 2, 8)
    packed = direct.pack(problem, isa(TARGETS[0]), weights)
    assert packed.tolist() == [0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15]


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    text=st.sampled_from(TARGETS),
    batch=st.integers(1, 3),
    image=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    out=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    group_channels=st.tuples(st.integers(1, 9), st.integers(1, 40)),
    groups=st.sampled_from([1, 1, 1, 2, 3]),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pads=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
)
def test_any_small_problem(
    text, batch, image, out, group_channels, groups, kernel, stride, pads, dilation
):
    in_c, out_c = (groups * channels for channels in group_channels)
    problem = conv_problem(image, in_c, out_c, kernel, stride, dilation, groups=groups)
    problem = replace(problem, batch=batch, out_h=out[0], out_w=out[1])
    check(replace(problem, pad_top=pads[0], pad_left=pads[1]), text)
