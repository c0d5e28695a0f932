from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels import winograd
from assay.compiler.kernels.epilogue import Epilogue, bias, clip, gate, residual, unary
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.winograd_transforms import transform_weights, transforms
from tests.compiler.kernels.harness import (
    ARM,
    SSE2,
    TARGETS,
    compile_kernel,
    isa,
    random,
    run_conv2d,
    run_shares,
)

BOUNDS = {2: 1e-5, 4: 3e-5}  # largest error over the root mean square of the sums
BIAS = Epilogue((bias(),))


def conv_problem(image, in_c, out_c, batch=1, **fields):
    """A 3x3 convolution with "same" padding, unless told otherwise."""
    height, width = image
    sizes = {"out_h": height, "out_w": width, "pad_top": 1, "pad_left": 1, "epilogue": BIAS}
    shape = {"batch": batch, "in_h": height, "in_w": width, "in_c": in_c, "out_c": out_c}
    return Conv2d(**shape, kernel_h=3, kernel_w=3, **{**sizes, **fields})


def check(problem, text, parallel=1, algorithm=winograd, caches=None):
    function, actual, expected, sums = run_conv2d(algorithm, problem, text, parallel, caches)
    bound = BOUNDS[winograd.output_tile(problem, isa(text))]
    assert np.abs(actual - expected).max() <= bound * max(1.0, np.sqrt(np.mean(sums**2)))
    return function


def check_shares(algorithm, problem, caches, parallel=4):
    """Check that shares of a kernel write bit by bit what one thread does."""
    machine, rng = replace(isa("native"), **caches), np.random.default_rng(0)
    function = algorithm.generate(problem, machine, "kernel", parallel)
    weights = algorithm.pack(problem, machine, random(rng, *problem.weights_shape))
    inputs = [random(rng, *problem.input_shape), weights, random(rng, problem.out_c)]
    alone = run_shares(function, "native", inputs, problem.output_shape, 1)
    for shares in (2, 3, 4):
        several = run_shares(function, "native", inputs, problem.output_shape, shares)
        np.testing.assert_array_equal(several, alone)
    assert np.isfinite(alone).all()


@pytest.fixture(params=[2, 4], ids=["F2", "F4"])
def output_tile(request, monkeypatch):
    """Make the kernel use this tile, whatever the estimate says."""
    monkeypatch.setattr(winograd, "output_tile", lambda problem, isa: request.param)
    return request.param


@pytest.mark.usefixtures("output_tile")
@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize(("in_c", "out_c"), [(1, 5), (17, 37)])
def test_any_number_of_channels(text, in_c, out_c):
    check(conv_problem((7, 6), in_c, out_c), text)


@pytest.mark.usefixtures("output_tile")
@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("in_c", [30, 32, 33, 38])
def test_turns_of_one_or_two_steps_of_depth(text, in_c):
    check(conv_problem((13, 11), in_c, 37), text, parallel=3)


@pytest.mark.usefixtures("output_tile")
@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("image", [(1, 9), (13, 5)])
def test_images_that_tiles_do_not_divide(text, image):
    check(conv_problem(image, 4, 8, batch=2), text)


@pytest.mark.usefixtures("output_tile")
@pytest.mark.parametrize(
    "fields",
    [
        {"pad_top": 0, "pad_left": 0, "out_h": 7, "out_w": 7},
        {"pad_top": 0, "pad_left": 2, "out_h": 9, "out_w": 10},
        {"pad_top": 7, "pad_left": 6, "out_h": 18, "out_w": 17},
    ],
)
def test_any_padding(fields):
    check(conv_problem((9, 9), 3, 6, **fields), "native")


@pytest.mark.usefixtures("output_tile")
@pytest.mark.parametrize("text", TARGETS)
def test_epilogue_steps_apply_in_order(text):
    steps = (bias(), residual(), unary("hard_swish"), gate(), clip(-2, 2))
    check(conv_problem((6, 7), 5, 18, batch=2, epilogue=Epilogue(steps)), text)


def test_the_stated_error_bound_holds_for_many_channels(output_tile):
    check(conv_problem((8, 8), 512, 16), "native")


@pytest.mark.parametrize("parallel", [2, 5])
def test_threads_take_blocks_of_tiles(parallel):
    function = check(conv_problem((18, 19), 32, 48), "native", parallel)
    assert "T.parallel" in function.script()


@pytest.mark.usefixtures("output_tile")
@pytest.mark.parametrize("parallel", [1, 2, 5])
@pytest.mark.parametrize("image", [(9, 10), (5, 3)])
def test_threads_share_the_rows_of_a_block_if_weights_outgrow_the_cache(image, parallel):
    problem, caches = conv_problem(image, 64, 48, batch=2), {"l2_bytes": 2**16}
    function = check(problem, "native", parallel, caches=caches)
    machine = replace(isa("native"), **caches)
    blocks = winograd._make_plan(problem, machine, 1).blocks
    assert winograd._make_plan(problem, machine, parallel).blocks == blocks
    assert ("T.parallel" in function.script()) == (parallel > 1)


@pytest.mark.usefixtures("output_tile")
@pytest.mark.parametrize("caches", [{}, {"l2_bytes": 2**16}], ids=["blocks", "rows"])
def test_any_number_of_threads_computes_the_same(caches):
    check_shares(winograd, conv_problem((13, 12), 64, 48), caches)


def test_packing_does_not_depend_on_the_number_of_threads():
    problem = conv_problem((56, 56), 64, 64)
    shapes = {
        tuple(winograd.generate(problem, isa("native"), "kernel", n).params[1].ty.shape)
        for n in (1, 2, 7)
    }
    weights = np.zeros(problem.weights_shape, np.float32)
    assert shapes == {winograd.pack(problem, isa("native"), weights).shape}


@pytest.mark.parametrize("outputs", [2, 4])
def test_the_matrices_convolve_exactly(outputs):
    rng = np.random.default_rng(0)
    matrices = transforms(outputs)
    data, taps = rng.normal(size=outputs + 2), rng.normal(size=3)
    products = (matrices.weights @ taps) * (matrices.data @ data)
    expected = np.correlate(data, taps, mode="valid")
    np.testing.assert_allclose(matrices.output @ products, expected, rtol=1e-12, atol=1e-12)
    assert (matrices.data.astype(np.float32) == matrices.data).all()
    assert (matrices.output.astype(np.float32) == matrices.output).all()
    weights = rng.normal(size=(3, 3, 2, 5)).astype(np.float32)
    spread = transform_weights(weights, outputs)
    one = matrices.weights @ weights[:, :, 1, 3].astype(np.float64) @ matrices.weights.T
    np.testing.assert_allclose(spread[:, 1, 3], one.reshape(-1), rtol=1e-6)


def test_larger_tiles_where_the_image_fills_them():
    avx2 = isa(SSE2)
    assert winograd.output_tile(conv_problem((56, 56), 64, 64), avx2) == 4
    assert winograd.output_tile(conv_problem((2, 2), 64, 64), avx2) == 2


def test_smaller_tiles_where_weights_outweigh_products():
    avx512 = replace(isa(SSE2), vector_bits=512, registers=32)
    assert winograd.output_tile(conv_problem((28, 28), 64, 64), avx512) == 4
    assert winograd.output_tile(conv_problem((7, 7), 256, 256), avx512) == 2


def test_smaller_tiles_where_weights_of_larger_ones_outgrow_the_cache():
    problem = conv_problem((14, 14), 128, 128)
    avx512 = replace(isa(SSE2), vector_bits=512, registers=32, l2_bytes=1 << 20)
    assert winograd.output_tile(problem, avx512) == 2
    assert winograd.output_tile(problem, replace(avx512, l2_bytes=4 << 20)) == 4


def test_direct_convolution_where_many_taps_are_beside_the_image():
    avx512 = replace(isa(SSE2), vector_bits=512, registers=32)
    assert winograd.worthwhile(conv_problem((8, 8), 64, 64), avx512)
    assert not winograd.worthwhile(conv_problem((7, 7), 256, 256), avx512)


def test_it_is_worthwhile_where_products_outweigh_transforms():
    assert winograd.worthwhile(conv_problem((28, 28), 128, 128), isa(SSE2))
    assert not winograd.worthwhile(conv_problem((28, 28), 1, 4), isa(SSE2))


@pytest.mark.parametrize(
    "fields",
    [
        {"kernel_h": 5},
        {"stride_w": 2},
        {"dilation_h": 2},
        {"groups": 2},
        {"input_gate": True},
    ],
)
def test_other_convolutions_are_not_applicable(fields):
    assert not winograd.applicable(replace(conv_problem((8, 8), 4, 8), **fields))


def test_the_same_source_compiles_for_arm():
    function = winograd.generate(conv_problem((9, 9), 8, 33), isa(ARM), "kernel")
    assert "fmla" in compile_kernel(function, ARM).inspect_source("asm")


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    text=st.sampled_from(TARGETS),
    batch=st.integers(1, 2),
    image=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    out=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    in_c=st.integers(1, 12),
    out_c=st.integers(1, 40),
    pads=st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_any_small_problem(text, batch, image, out, in_c, out_c, pads):
    fields = {"out_h": out[0], "out_w": out[1], "pad_top": pads[0], "pad_left": pads[1]}
    check(conv_problem(image, in_c, out_c, batch, **fields), text)
