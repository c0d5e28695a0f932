from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels import depthwise
from assay.compiler.kernels.epilogue import Epilogue, bias, clip, gate, residual, unary
from assay.compiler.kernels.problem import Conv2d
from tests.compiler.kernels.harness import (
    ARM,
    TARGETS,
    check_conv2d,
    compile_kernel,
    isa,
)


def depthwise_problem(height, width, channels, kernel, multiplier=1, batch=1, **fields):
    """A depthwise convolution with padding before and after, unless ``fields`` say otherwise."""
    kernel_h, kernel_w = kernel
    return Conv2d(
        **{
            "batch": batch,
            "in_h": height,
            "in_w": width,
            "in_c": channels,
            "out_h": -(-height // fields.get("stride_h", 1)),
            "out_w": -(-width // fields.get("stride_w", 1)),
            "out_c": channels * multiplier,
            "kernel_h": kernel_h,
            "kernel_w": kernel_w,
            "pad_top": (kernel_h - 1) // 2 * fields.get("dilation_h", 1),
            "pad_left": (kernel_w - 1) // 2 * fields.get("dilation_w", 1),
            "groups": channels,
            "epilogue": Epilogue((bias(),)),
            **fields,
        }
    )


def check(problem, text, parallel=1):
    check_conv2d(depthwise, problem, text, parallel)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("channels", [2, 3, 17, 37])
def test_any_number_of_channels(text, channels):
    check(depthwise_problem(6, 7, channels, (3, 3)), text)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize(
    ("height", "width", "kernel"),
    [
        (1, 1, (3, 3)),
        (7, 7, (5, 5)),
        (9, 10, (7, 7)),
        (1, 20, (1, 5)),
        (20, 1, (9, 1)),
        (1, 40, (1, 33)),
        (40, 2, (33, 2)),
        (3, 30, (3, 19)),
        (10, 25, (1, 1)),
    ],
)
def test_any_window_on_any_image(text, height, width, kernel):
    check(depthwise_problem(height, width, 5, kernel), text)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize(
    ("stride", "dilation"),
    [((1, 2), (1, 1)), ((2, 2), (2, 2)), ((3, 3), (1, 3)), ((3, 1), (2, 1))],
)
def test_any_stride_and_dilation(text, stride, dilation):
    fields = {"stride_h": stride[0], "stride_w": stride[1]}
    fields |= {"dilation_h": dilation[0], "dilation_w": dilation[1]}
    check(depthwise_problem(11, 13, 6, (3, 3), **fields), text)


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
    check(depthwise_problem(8, 9, 5, (3, 3), **fields), text)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("multiplier", [2, 3, 8, 17])
def test_a_channel_multiplier_gives_each_input_several_outputs(text, multiplier):
    check(depthwise_problem(5, 6, 3, (3, 3), multiplier, batch=2), text)


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
    check(depthwise_problem(5, 9, 18, (3, 3), batch=3, epilogue=Epilogue(steps)), text)


@pytest.mark.parametrize("parallel", [2, 5])
@pytest.mark.parametrize("kernel", [(3, 3), (7, 7)])
def test_threads_share_rows(parallel, kernel):
    problem = depthwise_problem(15, 16, 96, kernel, batch=2)
    function = depthwise.generate(problem, isa("native"), "kernel", parallel)
    assert "T.parallel" in function.script()
    check(problem, "native", parallel)


@pytest.mark.parametrize("kernel", [(1, 5), (1, 33)])
def test_threads_share_the_tiles_of_a_single_row(kernel):
    problem = depthwise_problem(1, 131, 67, kernel)
    function = depthwise.generate(problem, isa("native"), "kernel", 2)
    assert "T.parallel" in function.script()
    check(problem, "native", 2)


def test_the_same_source_compiles_for_arm():
    problem = depthwise_problem(9, 9, 33, (3, 3), epilogue=Epilogue((bias(), clip(0, 6))))
    module = compile_kernel(depthwise.generate(problem, isa(ARM), "kernel"), ARM)
    assert "fmla" in module.inspect_source("asm")


@pytest.mark.parametrize("fields", [{"groups": 1}, {"groups": 2}, {"input_gate": True}])
def test_other_convolutions_are_not_applicable(fields):
    assert not depthwise.applicable(replace(depthwise_problem(5, 5, 8, (3, 3)), **fields))


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    text=st.sampled_from(TARGETS),
    batch=st.integers(1, 3),
    image=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    out=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    channels=st.integers(2, 40),
    kernel=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pads=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    dilations=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    multiplier=st.integers(1, 2),
)
def test_any_small_problem(
    text, batch, image, out, channels, kernel, strides, pads, dilations, multiplier
):
    fields = {
        "out_h": out[0],
        "out_w": out[1],
        "stride_h": strides[0],
        "stride_w": strides[1],
        "pad_top": pads[0],
        "pad_left": pads[1],
        "dilation_h": dilations[0],
        "dilation_w": dilations[1],
    }
    check(depthwise_problem(*image, channels, kernel, multiplier, batch, **fields), text)
