from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels.int8.nchw import convolution
from tests.compiler.kernels.int8.cases import ADDITION, check, conv
from tests.compiler.kernels.int8.harness import (
    ARM_PLAIN,
    ARM_SDOT,
    MAIN_TARGETS,
    TARGETS,
    compile_kernel,
    isa,
)


def planes(*args, **fields):
    """Return a quantized convolution in NCHW."""
    problem = conv(*args, **fields)
    return replace(problem, geometry=replace(problem.geometry, layout="NCHW"))


CASES = {
    "1x1": planes(7, 7, 37, 33, 1),
    "1x1, stride, batch": planes(9, 12, 6, 21, 1, 2, batch=2),
    "3x3, addition": planes(7, 9, 5, 9, 3, addition=ADDITION),
    "first layer": planes(15, 41, 3, 16, 3, 2, weights_zero_point=-7),
    "one channel, one output": planes(3, 5, 1, 1, 3),
    "groups": planes(6, 5, 12, 18, 3, groups=2),
    "dilation, stride": planes(20, 37, 4, 6, 3, 2, dilation=(2, 3)),
    "few pixels": planes(1, 1, 9, 12, 3),
    "one column": planes(40, 1, 3, 5, (5, 1), padding="valid"),
    "tall window": planes(12, 10, 3, 4, (9, 2)),
    "depthwise": planes(14, 14, 5, 5, 3, groups=5),
    "depthwise, stride 2": planes(9, 50, 5, 5, 3, 2, groups=5),
    "depthwise 5x5": planes(8, 40, 3, 3, 5, groups=3, weights_zero_point=9),
    "multiplier, addition": planes(9, 9, 3, 6, 3, groups=3, addition=ADDITION),
    "bands": planes(90, 70, 3, 3, 3, groups=3),
}


@pytest.mark.parametrize("text", MAIN_TARGETS)
@pytest.mark.parametrize("case", CASES)
def test_every_byte_is_as_the_arithmetic_says(text, case):
    check(convolution, CASES[case], text)


@pytest.mark.parametrize("parallel", [2, 7])
def test_threads_share_bands(parallel):
    problem = planes(30, 30, 64, 33, 3, batch=2)
    assert "T.parallel" in convolution.generate(problem, isa("native"), "k", parallel).script()
    check(convolution, problem, "native", parallel)


@settings(max_examples=8, deadline=None)
@given(st.data())
def test_any_geometry(data):
    def draw(low, high):
        return data.draw(st.integers(low, high))

    groups = draw(1, 3)
    problem = planes(
        draw(1, 19), draw(1, 35), groups * draw(1, 6), groups * draw(1, 9),
        (draw(1, 4), draw(1, 4)), (draw(1, 3), draw(1, 3)), batch=draw(1, 2), groups=groups,
        dilation=(draw(1, 2), draw(1, 3)), weights_zero_point=data.draw(st.sampled_from([0, 5])),
    )  # fmt: skip
    check(convolution, problem, data.draw(st.sampled_from(TARGETS)), draw(1, 2))


@pytest.mark.parametrize("text", [ARM_PLAIN, ARM_SDOT])
def test_compiles_for_arm(text):
    problem = planes(9, 9, 5, 8, 3, 2)
    compile_kernel(convolution.generate(problem, isa(text), "kernel"), text)
