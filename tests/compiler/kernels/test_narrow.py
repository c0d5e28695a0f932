import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compiler.kernels import direct, narrow
from assay.compiler.kernels.epilogue import Epilogue, bias, clip, gate, residual, unary
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.select import generator_for
from tests.compiler.kernels.harness import ARM, TARGETS, check_conv2d, isa
from tests.compiler.kernels.test_direct import conv_problem


def check(problem, text, parallel=1):
    check_conv2d(narrow, problem, text, parallel)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize(("in_c", "out_c"), [(4, 1), (5, 3), (17, 4), (3, 21)])
def test_any_number_of_channels(text, in_c, out_c):
    check(conv_problem((11, 9), in_c, out_c, (3, 3)), text)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize(
    ("image", "kernel"),
    [((1, 1), (3, 3)), ((13, 7), (9, 9)), ((7, 20), (1, 5)), ((9, 10), (7, 4)), ((3, 8), (2, 20))],
)
def test_any_window_on_any_image(text, image, kernel):
    check(conv_problem(image, 3, 2, kernel), text)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize(
    ("stride", "dilation"), [((2, 1), (1, 1)), ((1, 1), (2, 3)), ((3, 1), (1, 2))]
)
def test_strides_of_rows_and_any_dilation(text, stride, dilation):
    check(conv_problem((12, 13), 6, 1, (3, 3), stride, dilation, batch=2), text)


@pytest.mark.parametrize(
    "fields",
    [
        {"pad_top": 0, "pad_left": 0},
        {"pad_top": 0, "pad_left": 0, "out_h": 6, "out_w": 4},
        {"pad_top": 3, "pad_left": 1, "out_h": 12, "out_w": 9},
        {"pad_top": 9, "pad_left": 12, "out_h": 20, "out_w": 30},
    ],
    ids=["after", "cropped", "uneven", "more-than-the-image"],
)
def test_any_padding(fields):
    check(conv_problem((8, 9), 3, 3, (3, 3), **fields), "native")


@pytest.mark.parametrize(
    "steps",
    [(), (bias(), clip(0, 6)), (residual(), unary("relu")), (bias(), residual(), unary("sigmoid"))],
    ids=lambda steps: "-".join(step.op for step in steps),
)
def test_epilogue_steps_apply_in_order(steps):
    check(conv_problem((5, 9), 3, 3, (3, 3), batch=3, epilogue=Epilogue(steps)), "native")


def test_threads_share_strips():
    problem = conv_problem((61, 60), 32, 1, (5, 5), batch=2)
    assert "T.parallel" in narrow.generate(problem, isa("native"), "kernel", 3).script()
    check(problem, "native", 3)


def test_it_runs_on_arm():
    check(conv_problem((6, 9), 5, 3, (3, 3)), ARM)


def test_who_is_asked():
    machine = isa("native")
    assert generator_for(conv_problem((32, 32), 16, 3, (3, 3)), machine) is narrow
    assert generator_for(conv_problem((32, 32), 16, 64, (3, 3)), machine) is direct
    one = conv_problem((64, 64), 128, 1, (3, 3))
    assert generator_for(one, machine, aggressive=True) is narrow
    assert generator_for(conv_problem((32, 32), 16, 3, (3, 3), (2, 2)), machine) is direct
    gated = Epilogue((bias(), gate()))  # knows which channel a value belongs to
    assert generator_for(conv_problem((9, 9), 16, 3, (3, 3), epilogue=gated), machine) is direct


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_random_problems(data):
    def number(low, high):
        return data.draw(st.integers(low, high))

    kernel_h, kernel_w, dilation_h, dilation_w = (
        number(1, 4),
        number(2, 4),
        *(number(1, 2) for _ in range(2)),
    )
    problem = Conv2d(
        number(1, 2), number(1, 9), number(1, 9), number(1, 7), number(1, 9), number(1, 9),
        number(1, 7), kernel_h, kernel_w, number(1, 2), 1, number(0, 3), number(0, 3),
        dilation_h, dilation_w, epilogue=Epilogue((bias(),)),
    )  # fmt: skip
    check(problem, "native")
