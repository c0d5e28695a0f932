from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels.epilogue import Epilogue, bias, clip, gate, residual, unary
from assay.compiler.kernels.nchw import transposed
from tests.compiler.kernels import test_transposed
from tests.compiler.kernels.harness import ARM, TARGETS, compile_kernel, isa
from tests.compiler.kernels.nchw.problems import on_host_and_another

SMALL_CACHE = {"l2_bytes": 1 << 14}
STEPS = (bias(), gate(), residual(), unary("swish"), clip(-0.1, 0.5))


def problem(*arguments, **fields):
    """The output reaches to the last tap, less what is cropped at each side."""
    return replace(test_transposed.problem(*arguments, **fields), layout="NCHW")


def check(p, text, parallel=1, caches=None):
    test_transposed.check(p, text, parallel, transposed, caches)


CASES = {
    "no overlap": problem((5, 9), (7, 19), (2, 2), (2, 2)),
    "3x3": problem((5, 21), (3, 70), (3, 3), (2, 2), (1, 0), (1, 1)),
    "unequal strides": problem((5, 9), (7, 19), (4, 3), (2, 1), (1, 1)),
    "rows that nothing adds to": problem((5, 9), (7, 5), (1, 2), (3, 2), (0, 0), (2, 0)),
    "columns that nothing adds to": problem((5, 9), (7, 5), (2, 1), (1, 4), (0, 0), (0, 3)),
    "stride 3": problem((5, 9), (7, 19), (5, 7), (3, 2), (4, 5), (0, 1)),
    "stride 5 along rows": problem((3, 19), (2, 3), (6, 7), (2, 5), (1, 1)),
    "large stride": problem((3, 4), (2, 3), (16, 40), (8, 20), (4, 10)),
    "one pixel": problem((1, 1), (1, 1), (3, 3), (2, 2), batch=2),
    "groups": problem((4, 5), (6, 15), (3, 2), (2, 2), groups=3),
    "epilogue": problem((4, 5), (6, 17), (3, 3), (2, 3), batch=2, epilogue=Epilogue(STEPS)),
}


@pytest.mark.parametrize(("text", "case"), on_host_and_another(CASES))
def test_equals_the_definition(text, case):
    check(CASES[case], text)


def test_bands_overlap_where_they_do_not_divide_the_image():
    p = problem((13, 9), (7, 5), (3, 3), (2, 2), (1, 1))
    machine = replace(isa("native"), **SMALL_CACHE)
    assert 13 % transposed._make_plan(p, machine, 1).band.lines
    check(p, "native", caches=SMALL_CACHE)


def test_threads_share_the_work():
    p = problem((20, 20), (64, 32), (2, 2), (2, 2))
    assert "T.parallel" in transposed.generate(p, isa("native"), "kernel", 3).script()
    check(p, "native", 3)


def test_only_nchw_and_cropping_within_the_window():
    p = problem((5, 9), (7, 19), (2, 2), (2, 2))
    assert not transposed.applicable(replace(p, layout="NHWC"))
    assert not transposed.applicable(replace(p, pad_top=2))


def test_the_same_source_compiles_for_arm():
    function = transposed.generate(problem((5, 5), (8, 8), (3, 3), (2, 2)), isa(ARM), "kernel")
    assert "fmla" in compile_kernel(function, ARM).inspect_source("asm")


@settings(max_examples=10, deadline=None, derandomize=True)
@given(
    text=st.sampled_from(TARGETS),
    batch=st.integers(1, 2),
    image=st.tuples(st.integers(1, 6), st.integers(1, 20)),
    channels=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    data=st.data(),
)
def test_any_small_problem(text, batch, image, channels, kernel, stride, data):
    pad, extra = test_transposed.cropping(data, image, kernel, stride)
    p = problem(image, channels, kernel, stride, pad, extra, batch=batch)
    check(p, text, caches=data.draw(st.sampled_from([None, SMALL_CACHE])))
