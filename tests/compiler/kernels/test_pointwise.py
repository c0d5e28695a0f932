from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels import pointwise
from assay.compiler.kernels.builder import REPLACES
from assay.compiler.kernels.epilogue import Epilogue, bias, clip, gate, residual, unary
from assay.compiler.kernels.gemm import make_plan
from assay.compiler.kernels.pointwise import product_of
from assay.compiler.kernels.problem import Conv2d
from tests.compiler.kernels.harness import (
    ARM,
    TARGETS,
    check_conv2d,
    compile_kernel,
    innermost_blocks,
    isa,
    random,
    run,
)


def pointwise_problem(batch, height, width, in_c, out_c, stride=1, **fields):
    out_h, out_w = -(-height // stride), -(-width // stride)
    strides = {"stride_h": stride, "stride_w": stride}
    return Conv2d(batch, height, width, in_c, out_h, out_w, out_c, 1, 1, **strides, **fields)


def check(problem, text, parallel=1):
    check_conv2d(pointwise, problem, text, parallel)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("out_c", [1, 3, 17, 24, 37, 100])
def test_any_number_of_output_channels(text, out_c):
    check(pointwise_problem(1, 5, 5, 6, out_c), text)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (7, 7), (3, 17), (10, 10)])
def test_any_number_of_pixels(text, height, width):
    check(pointwise_problem(1, height, width, 5, 37), text)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("in_c", [1, 3, 37])
@pytest.mark.parametrize("stride", [2, 3])
def test_a_stride_picks_pixels_of_each_image(text, in_c, stride):
    check(pointwise_problem(2, 7, 9, in_c, 17, stride), text)


@pytest.mark.parametrize("text", TARGETS)
def test_weights_larger_than_the_caches_are_blocked(text):
    check(pointwise_problem(1, 9, 9, 1031, 130, epilogue=Epilogue((bias(),))), text)


@pytest.mark.parametrize("parallel", [1, 3])
@pytest.mark.parametrize("l2_bytes", [1 << 12, 1 << 14, 1 << 16, 1 << 18])
@pytest.mark.parametrize("stride", [1, 2])
def test_blocks_hold_as_many_strips_as_the_cache(l2_bytes, stride, parallel):
    problem = pointwise_problem(2, 19, 17, 65, 210, stride, epilogue=Epilogue((bias(),)))
    caches = {"l1_bytes": 1 << 12, "l2_bytes": l2_bytes}
    check_conv2d(pointwise, problem, "native", parallel, caches=caches)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize(
    "steps",
    [
        (bias(),),
        (bias(), clip(0, 6)),
        (bias(), residual()),
        (bias(), residual(), unary("relu")),
        (bias(), unary("relu"), residual()),
        (residual(), bias()),
        (bias(), unary("hard_swish"), gate()),
        (bias(), gate(), residual(), unary("sigmoid")),
    ],
    ids=lambda steps: "-".join(step.op for step in steps),
)
def test_epilogue_steps_apply_in_order(text, steps):
    check(pointwise_problem(2, 3, 5, 7, 21, epilogue=Epilogue(steps)), text)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("activation", ["relu", "sigmoid"])  # in registers, in a loop over a copy
@pytest.mark.parametrize(("height", "width", "in_c"), [(5, 7, 9), (47, 31, 65), (3, 1, 700)])
def test_results_may_be_where_the_residual_is(text, activation, height, width, in_c):
    steps = (bias(), residual(), unary(activation))
    problem = pointwise_problem(2, height, width, in_c, 96, epilogue=Epilogue(steps))
    function = pointwise.generate(problem, isa(text), "kernel", 3)
    assert list(function.attrs[REPLACES]) == [3]
    rng = np.random.default_rng(0)
    weights = pointwise.pack(problem, isa(text), random(rng, *problem.weights_shape))
    operands = [random(rng, *shape) for shape in (problem.input_shape, (96,), problem.output_shape)]
    inputs = [operands[0], weights, *operands[1:]]
    apart = run(function, text, inputs, problem.output_shape)
    over = run(function, text, inputs, problem.output_shape, replaced=3)
    np.testing.assert_array_equal(over, apart)


@pytest.mark.parametrize("text", TARGETS)
def test_results_that_are_stored_twice_replace_nothing(text):
    problem = pointwise_problem(1, 5, 5, 6, 39, epilogue=Epilogue((residual(),)))
    assert REPLACES not in pointwise.generate(problem, isa(text), "kernel").attrs


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("stride", [1, 2])
def test_an_input_gate_scales_the_channels_of_each_image(text, batch, stride):
    problem = pointwise_problem(batch, 5, 5, 9, 19, stride, input_gate=True)
    check(replace(problem, epilogue=Epilogue((bias(),))), text)


@pytest.mark.parametrize("parallel", [2, 3, 8])
@pytest.mark.parametrize(
    ("pixels", "in_c", "out_c", "stride"),
    [(49, 96, 320, 1), (31, 64, 37, 1), (3, 700, 512, 1), (56, 64, 48, 2), (14, 200, 300, 2)],
    ids=["square", "many-rows", "many-panels", "strided", "strided-block"],
)
def test_threads_share_rows_or_panels(parallel, pixels, in_c, out_c, stride):
    problem = pointwise_problem(1, pixels, pixels, in_c, out_c, stride)
    function = pointwise.generate(problem, isa("native"), "kernel", parallel)
    assert "T.parallel" in function.script()
    check(problem, "native", parallel)


def test_small_products_stay_on_one_thread():
    function = pointwise.generate(pointwise_problem(1, 7, 7, 16, 32), isa("native"), "kernel", 8)
    assert "T.parallel" not in function.script()


@pytest.mark.skipif(isa("native").arch != "x86_64", reason="reads x86 assembly")
@pytest.mark.parametrize("text", TARGETS)
def test_sums_stay_in_registers(text):
    function = pointwise.generate(pointwise_problem(1, 14, 14, 64, 96), isa(text), "kernel")
    blocks = innermost_blocks(compile_kernel(function, text), isa(text))
    assert blocks
    assert not any("(%rsp)" in block for block in blocks)


def test_the_same_source_compiles_for_arm():
    problem = pointwise_problem(1, 7, 7, 16, 33, epilogue=Epilogue((bias(), unary("swish"))))
    module = compile_kernel(pointwise.generate(problem, isa(ARM), "kernel"), ARM)
    assert "fmla" in module.inspect_source("asm")


@pytest.mark.parametrize(
    "fields",
    [
        {"kernel_h": 3, "pad_top": 1},
        {"kernel_w": 2},
        {"pad_left": 1, "out_w": 6},
        {"out_h": 6},
        {"groups": 4},
    ],
)
def test_other_convolutions_are_not_applicable(fields):
    assert not pointwise.applicable(replace(pointwise_problem(1, 5, 5, 4, 8), **fields))


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    text=st.sampled_from(TARGETS),
    batch=st.integers(1, 3),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    in_c=st.integers(1, 40),
    out_c=st.integers(1, 90),
    stride=st.integers(1, 3),
    input_gate=st.booleans(),
    steps=st.lists(st.sampled_from([bias(), residual(), gate(), clip(-1, 1)]), max_size=3),
)
def test_any_small_problem(text, batch, height, width, in_c, out_c, stride, input_gate, steps):
    epilogue = Epilogue(tuple(steps))
    problem = pointwise_problem(batch, height, width, in_c, out_c, stride, epilogue=epilogue)
    check(replace(problem, input_gate=input_gate), text)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    text=st.sampled_from(TARGETS),
    batch=st.integers(1, 2),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    in_c=st.integers(1, 70),
    out_c=st.integers(1, 90),
    stride=st.integers(1, 2),
    l2_bytes=st.sampled_from([1 << 10, 1 << 13]),
    steps=st.lists(st.sampled_from([bias(), residual(), gate(), clip(-1, 1)]), max_size=3),
)
def test_any_problem_larger_than_the_caches(
    text, batch, height, width, in_c, out_c, stride, l2_bytes, steps
):
    epilogue = Epilogue(tuple(steps))
    problem = pointwise_problem(batch, height, width, in_c, out_c, stride, epilogue=epilogue)
    check_conv2d(pointwise, problem, text, caches={"l1_bytes": 1 << 10, "l2_bytes": l2_bytes})


@pytest.mark.parametrize(
    ("in_c", "out_c", "ahead"), [(8, 16, 11), (32, 16, 3), (8, 32, 5), (8, 96, 2), (200, 16, 1)]
)
def test_inputs_are_asked_for_as_long_ahead_as_the_last_cache_takes(in_c, out_c, ahead):
    problem = pointwise_problem(1, 48, 48, in_c, out_c)
    machine = replace(isa("llvm -mcpu=core-avx2"), l2_bytes=1 << 16)
    assert planned(machine, problem).tiles_ahead == ahead
    assert planned(replace(machine, l2_bytes=1 << 30), problem).tiles_ahead == 0


def planned(machine, problem):
    plan = make_plan(machine, product_of(problem), 1)
    assert plan.tiles.small == 6
    return plan
