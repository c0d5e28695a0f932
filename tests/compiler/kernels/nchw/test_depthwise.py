import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels.nchw import depthwise
from tests.compiler.kernels.harness import ARM, TARGETS, check_conv2d, compile_kernel, isa
from tests.compiler.kernels.nchw import problems
from tests.compiler.kernels.nchw.problems import LONG, SHORT, on_host_and_another

CASES = {
    "small plane": problems.depthwise((7, 7), 5, (3, 3)),
    "wide": problems.depthwise((20, 57), 3, (3, 3)),
    "batch, stride 2": problems.depthwise((14, 14), 5, (3, 3), stride=(2, 2), batch=2),
    "wide, stride 2": problems.depthwise((9, 112), 3, (3, 3), stride=(2, 2)),
    "multiplier": problems.depthwise((12, 41), 3, (5, 5), multiplier=2),
    "one channel": problems.depthwise((9, 35), 1, (3, 3), multiplier=4, epilogue=LONG),
    "one pixel": problems.depthwise((1, 1), 3, (3, 3)),
    "stride and dilation": problems.depthwise((11, 33), 6, (3, 3), stride=(2, 3), dilation=(2, 2)),
    "one line": problems.depthwise((1, 40), 5, (1, 33)),
    "one column": problems.depthwise((40, 1), 5, (9, 1), epilogue=LONG),
    "no padding": problems.depthwise((9, 60), 2, (3, 3), pad=(0, 0)),
    "7x7": problems.depthwise((16, 48), 2, (7, 7)),
    "bands": problems.depthwise((80, 70), 2, (3, 3)),
}


@pytest.mark.parametrize(("text", "case"), on_host_and_another(CASES))
def test_equals_the_definition(text, case):
    check_conv2d(depthwise, CASES[case], text)


def test_threads_share_out_planes():
    problem = problems.depthwise((40, 40), 37, (3, 3), batch=2)
    check_conv2d(depthwise, problem, TARGETS[-1], parallel=3)


@settings(max_examples=8, deadline=None)
@given(st.data())
def test_any_geometry(data):
    def draw(low, high):
        return data.draw(st.integers(low, high))

    problem = problems.depthwise(
        (draw(1, 20), draw(1, 70)),
        draw(1, 5),
        (draw(1, 5), draw(1, 5)),
        multiplier=draw(1, 2),
        stride=(draw(1, 3), draw(1, 3)),
        dilation=(draw(1, 2), draw(1, 2)),
        batch=draw(1, 2),
        epilogue=data.draw(st.sampled_from([SHORT, LONG])),
    )
    check_conv2d(depthwise, problem, TARGETS[-1])


def test_compiles_for_arm():
    problem = problems.depthwise((9, 20), 3, (3, 3), stride=(2, 2))
    compile_kernel(depthwise.generate(problem, isa(ARM), "kernel"), ARM)
