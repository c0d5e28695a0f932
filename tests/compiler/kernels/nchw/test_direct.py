from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from assay.compiler.kernels import direct as nhwc_direct
from assay.compiler.kernels.epilogue import Epilogue, bias
from assay.compiler.kernels.nchw import convolution, depthwise, direct, pointwise
from assay.compiler.kernels.select import generator_for
from tests.compiler.kernels.harness import (
    ARM,
    TARGETS,
    check_conv2d,
    compile_kernel,
    isa,
    random,
    run,
)
from tests.compiler.kernels.nchw import problems
from tests.compiler.kernels.nchw.problems import LONG, SHORT, on_host_and_another

CASES = {
    "one input channel": problems.convolution((9, 11), (1, 17), (3, 3)),
    "RGB, stride 2": problems.convolution((31, 23), (3, 24), (7, 7), stride=(2, 2)),
    "7 input channels": problems.convolution((6, 10), (7, 16), (3, 3), epilogue=LONG),
    "odd channels": problems.convolution((13, 5), (21, 75), (3, 3), batch=2),
    "few pixels": problems.convolution((2, 3), (16, 32), (3, 3)),
    "one pixel": problems.convolution((1, 1), (5, 9), (3, 3)),
    "one column": problems.convolution((9, 1), (4, 8), (5, 1), pad=(0, 0), batch=2),
    "1x1, stride 2": problems.convolution((15, 13), (18, 33), (1, 1), stride=(2, 2), batch=2),
    "no padding": problems.convolution((9, 8), (3, 4), (3, 3), pad=(0, 0), epilogue=LONG),
    "groups": problems.convolution((6, 5), (6, 9), (3, 3), groups=3, epilogue=LONG),
    "wide groups": problems.convolution((5, 9), (40, 44), (3, 3), groups=2),
    "stride and dilation": problems.convolution(
        (20, 40), (4, 8), (3, 3), stride=(3, 2), dilation=(2, 3)
    ),
    "rows that see nothing": problems.convolution((3, 9), (8, 16), (1, 3), pad=(4, 0)),
    "window beyond the image": problems.convolution((2, 2), (3, 5), (7, 7)),
}


@pytest.mark.parametrize(("text", "case"), on_host_and_another(CASES))
def test_equals_the_definition(text, case):
    check_conv2d(direct, CASES[case], text)


@pytest.mark.parametrize(("text", "case"), on_host_and_another(CASES))
def test_reads_an_image_in_nhwc(text, case):
    problem = replace(CASES[case], input_layout="NHWC")
    check_conv2d(direct, problem, text, parallel=2)


@pytest.mark.parametrize("text", TARGETS)
def test_same_bits_as_in_nhwc(text):
    problem = problems.convolution((13, 11), (21, 75), (3, 3), epilogue=Epilogue((bias(),)))
    rng = np.random.default_rng(0)
    x, weights = random(rng, *problem.input_shape), random(rng, *problem.weights_shape)
    offsets = random(rng, problem.out_c)

    def outputs(algorithm, problem, x):
        packed = algorithm.pack(problem, isa(text), weights)
        function = algorithm.generate(problem, isa(text), "kernel")
        return run(function, text, [x, packed, offsets], problem.output_shape)

    planes = outputs(direct, problem, x)
    last = replace(problem, layout="NHWC")
    expected = outputs(nhwc_direct, last, np.ascontiguousarray(x.transpose(0, 2, 3, 1)))
    np.testing.assert_array_equal(planes.transpose(0, 2, 3, 1), expected)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize(("parallel", "channels"), [(1, 40), (3, 40), (3, 28)])
def test_bands_and_chunks(text, parallel, channels):
    """Caches so small that a band has several chunks, not all of them of as many rows."""
    problem = problems.convolution((23, 18), (24, channels), (3, 3))
    small = {"l1_bytes": 16 * 1024, "l2_bytes": 64 * 1024}
    plan = direct.make_plan(problem, replace(isa(text), **small), parallel)
    assert plan.bands > 1
    assert plan.shares_bands == (parallel > 1 and channels == 40)
    check_conv2d(direct, problem, text, parallel, caches=small)


@pytest.mark.parametrize("channels", [16, 100])
def test_threads_do_not_share_a_single_row(channels):
    """One of them transposes the results of all its tiles."""
    problem = problems.convolution((1, 300), (64, channels), (1, 3))
    assert direct.make_plan(problem, isa(TARGETS[-1]), 3).panels.sharing != "rows"
    check_conv2d(direct, problem, TARGETS[-1], 3)


@pytest.mark.parametrize(
    ("image", "channels"), [((5, 5), (256, 256)), ((30, 30), (32, 33)), ((1, 40), (64, 64))]
)
def test_threads_share_out_panels_or_bands(image, channels):
    problem = problems.convolution(image, channels, (3, 3), batch=2)
    check_conv2d(direct, problem, TARGETS[-1], parallel=3)


@pytest.mark.parametrize(("channels", "asks"), [((8, 8), False), ((64, 64), True)])
def test_asks_for_outputs_where_all_tensors_fill_half_a_cache(channels, asks):
    problem = problems.convolution((28, 28), channels, (3, 3))
    machine = replace(isa(TARGETS[-1]), l2_bytes=2**20)
    assert direct.make_plan(problem, machine, 1).panels.fetch_outputs is asks


@settings(max_examples=8, deadline=None)
@given(problems.any_geometry())
def test_any_geometry(drawn):
    problem, parallel = drawn
    if direct.applicable(problem):
        check_conv2d(direct, problem, TARGETS[-1], parallel)
        check_conv2d(direct, replace(problem, input_layout="NHWC"), TARGETS[-1], parallel)


def test_compiles_for_arm():
    problem = problems.convolution((9, 9), (3, 8), (3, 3), stride=(2, 2))
    compile_kernel(direct.generate(problem, isa(ARM), "kernel"), ARM)


@pytest.mark.parametrize("text", TARGETS)
def test_chosen_where_sums_outweigh_transposing(text):
    machine = isa(text)

    def chosen(*arguments, **fields):
        return generator_for(problems.convolution(*arguments, **fields), machine)

    assert chosen((28, 28), (64, 64), (3, 3)) is direct
    assert chosen((56, 56), (64, 128), (3, 3), stride=(2, 2)) is direct
    assert chosen((224, 224), (3, 64), (7, 7), stride=(2, 2)) is direct
    assert chosen((14, 14), (256, 512), (1, 1), stride=(2, 2)) is pointwise
    assert chosen((28, 28), (64, 64), (1, 1)) is pointwise
    assert chosen((56, 56), (64, 2), (3, 3), stride=(2, 2)) is convolution
    first = {"stride": (2, 2), "input_layout": "NHWC"}
    assert chosen((224, 224), (3, 16), (3, 3), **first) is convolution
    assert chosen((224, 224), (3, 64), (7, 7), **first) is direct
    assert chosen((28, 28), (64, 64), (3, 3), input_gate=True) is convolution
    assert chosen((28, 28), (64, 64), (3, 3), groups=64, epilogue=SHORT) is depthwise
