from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels import winograd as algorithm
from assay.compiler.kernels.epilogue import Epilogue, bias, clip, residual
from assay.compiler.kernels.nchw import winograd
from assay.compiler.kernels.nchw.winograd_strips import cut
from tests.compiler.kernels import test_winograd
from tests.compiler.kernels.harness import ARM, SSE2, TARGETS, compile_kernel, isa
from tests.compiler.kernels.nchw.problems import LONG, SHORT, on_host_and_another

SMALL_CACHE = {"l1_bytes": 1 << 10}


def conv_problem(image, in_c, out_c, batch=1, **fields):
    """A 3x3 convolution with "same" padding, unless told otherwise."""
    problem = test_winograd.conv_problem(image, in_c, out_c, batch, **fields)
    return replace(problem, layout="NCHW")


def check(problem, text, parallel=1, caches=None):
    return test_winograd.check(problem, text, parallel, winograd, caches)


@pytest.fixture(params=[2, 4], ids=["F2", "F4"])
def output_tile(request, monkeypatch):
    """Make the kernel use this tile, whatever the estimate says."""
    monkeypatch.setattr(algorithm, "output_tile", lambda problem, isa: request.param)


CASES = {
    "few channels": conv_problem((7, 6), 1, 5),
    "odd channels": conv_problem((13, 5), 17, 37, batch=2),
    "two steps of depth": conv_problem((11, 13), 34, 37),
    "one line": conv_problem((1, 19), 4, 8, epilogue=SHORT),
    "one column": conv_problem((19, 1), 4, 8),
    "no padding": conv_problem((9, 9), 3, 6, pad_top=0, pad_left=0, out_h=7, out_w=7),
    "wide padding": conv_problem((9, 9), 3, 6, pad_top=7, pad_left=6, out_h=18, out_w=17),
    "image cropped": conv_problem((9, 33), 3, 6, out_h=4, out_w=18, epilogue=LONG),
    "residual": conv_problem(
        (6, 47), 5, 18, batch=2, epilogue=Epilogue((bias(), residual(), clip(-2, 2)))
    ),
}


@pytest.mark.usefixtures("output_tile")
@pytest.mark.parametrize(("text", "case"), on_host_and_another(CASES))
def test_equals_the_definition(text, case):
    check(CASES[case], text)


@pytest.mark.usefixtures("output_tile")
@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("width", [61, 64, 75])
def test_rows_of_several_strips(text, width):
    """Strips of equal size overlap where they do not divide a row."""
    problem = conv_problem((5, width), 3, 17, pad_left=2, out_w=width + 2, epilogue=SHORT)
    assert cut(problem, replace(isa(text), **SMALL_CACHE), 4).across > 1
    check(problem, text, caches=SMALL_CACHE)


@pytest.mark.usefixtures("output_tile")
def test_the_stated_error_bound_holds_for_many_channels():
    check(conv_problem((8, 8), 512, 16), "native")


@pytest.mark.parametrize("parallel", [2, 5])
def test_threads_take_blocks_of_strips(parallel):
    function = check(conv_problem((18, 19), 32, 48), "native", parallel)
    assert "T.parallel" in function.script()


@pytest.mark.usefixtures("output_tile")
@pytest.mark.parametrize("parallel", [1, 3, 5])
@pytest.mark.parametrize("image", [(9, 10), (21, 5), (3, 37)])
@pytest.mark.parametrize("text", TARGETS)
def test_threads_share_the_rows_of_a_block_if_weights_outgrow_the_cache(text, image, parallel):
    """In blocks and shares of different sizes, and where strips overlap."""
    problem, caches = conv_problem(image, 64, 48), {**SMALL_CACHE, "l2_bytes": 2**16}
    function = check(problem, text, parallel, caches=caches)
    machine = replace(isa(text), **caches)
    alone, plan = (winograd._make_plan(problem, machine, n)[1] for n in (1, parallel))
    assert plan.blocks == alone.blocks
    assert plan.sharing == ("rows" if parallel > 1 else "nothing")
    assert ("T.parallel" in function.script()) == (parallel > 1)


@pytest.mark.usefixtures("output_tile")
@pytest.mark.parametrize("caches", [{}, {"l2_bytes": 2**16}], ids=["blocks", "rows"])
@pytest.mark.parametrize("image", [(13, 12), (3, 37)])
def test_any_number_of_threads_computes_the_same(image, caches):
    test_winograd.check_shares(winograd, conv_problem(image, 64, 48), {**SMALL_CACHE, **caches})


def test_packing_does_not_depend_on_the_number_of_threads():
    problem = conv_problem((56, 56), 64, 64)
    shapes = {
        tuple(winograd.generate(problem, isa("native"), "kernel", n).params[1].ty.shape)
        for n in (1, 2, 7)
    }
    weights = np.zeros(problem.weights_shape, np.float32)
    assert shapes == {winograd.pack(problem, isa("native"), weights).shape}


def test_it_is_worthwhile_where_products_outweigh_transforms():
    assert winograd.worthwhile(conv_problem((28, 28), 128, 128), isa(SSE2))
    assert not winograd.worthwhile(conv_problem((28, 28), 1, 4), isa(SSE2))


@pytest.mark.parametrize("text", TARGETS)
def test_it_is_where_the_other_kernel_transposes_as_much(text):
    assert winograd.worthwhile(conv_problem((32, 32), 16, 16), isa(text))
    assert not winograd.worthwhile(conv_problem((96, 96), 32, 3), isa(text))


def test_smaller_tiles_where_larger_ones_reach_far_beyond_the_image():
    avx512 = replace(isa(SSE2), vector_bits=512, registers=32)
    assert algorithm.output_tile(conv_problem((28, 28), 64, 64), avx512) == 4
    assert algorithm.output_tile(conv_problem((13, 13), 64, 64), avx512) == 2


def test_it_is_not_where_weights_outgrow_a_small_image():
    assert not winograd.worthwhile(conv_problem((7, 7), 256, 256), isa(TARGETS[-1]))


@pytest.mark.parametrize(
    "fields", [{"kernel_h": 5}, {"stride_w": 2}, {"groups": 2}, {"layout": "NHWC"}]
)
def test_other_convolutions_are_not_applicable(fields):
    assert not winograd.applicable(replace(conv_problem((8, 8), 4, 8), **fields))


def test_the_same_source_compiles_for_arm():
    function = winograd.generate(conv_problem((9, 9), 8, 33), isa(ARM), "kernel")
    assert "fmla" in compile_kernel(function, ARM).inspect_source("asm")


@settings(max_examples=10, deadline=None, derandomize=True)
@given(
    text=st.sampled_from(TARGETS),
    batch=st.integers(1, 2),
    image=st.tuples(st.integers(1, 12), st.integers(1, 40)),
    out=st.tuples(st.integers(1, 12), st.integers(1, 40)),
    in_c=st.integers(1, 20),
    out_c=st.integers(1, 40),
    pads=st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_any_small_problem(text, batch, image, out, in_c, out_c, pads):
    fields = {"out_h": out[0], "out_w": out[1], "pad_top": pads[0], "pad_left": pads[1]}
    check(conv_problem(image, in_c, out_c, batch, **fields), text, caches=SMALL_CACHE)
