import pytest

from assay.compiler.kernels.int8 import transposed
from assay.compiler.kernels.int8.problem import QuantizedTransposedConv2d
from tests.compiler.kernels.int8.cases import ADDITION, TARGET, check
from tests.compiler.kernels.int8.harness import ARM_SDOT, TARGETS, isa
from tests.compiler.kernels.test_transposed import problem as geometry

ASYMMETRIC = {"weights_zero_point": -9}


def problem(image, channels, kernel, stride=(1, 1), pad=(0, 0), extra=(0, 0), **fields):
    more = {name: fields.pop(name) for name in ("batch", "groups") if name in fields}
    shape = geometry(image, channels, kernel, stride, pad, extra, **more)
    return QuantizedTransposedConv2d(shape, **{"input_zero_point": 7, "output": TARGET, **fields})


CASES = {
    "no overlap": problem((5, 9), (16, 33), (2, 2), (2, 2), batch=2),
    "TFLite's padding": problem((5, 4), (7, 19), (3, 3), (2, 2), (0, 0), (-1, -1), **ASYMMETRIC),
    "cropped": problem((4, 5), (6, 24), (5, 4), (3, 2), (2, 1), addition=ADDITION),
    "outputs without taps": problem((3, 4), (8, 5), (1, 2), (3, 3), (0, 0), (1, 2)),
    "groups": problem((4, 5), (6, 15), (3, 2), (2, 2), groups=3, **ASYMMETRIC),
    "one channel": problem((3, 3), (1, 1), (4, 4), (2, 2), (1, 1)),
}


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("case", CASES)
def test_every_byte_is_as_the_arithmetic_says(text, case):
    check(transposed, CASES[case], text)


def test_threads_share_the_work():
    p = problem((20, 20), (96, 64), (3, 3), (2, 2), **ASYMMETRIC)
    assert "T.parallel" in transposed.generate(p, isa("native"), "kernel", 3).script()
    check(transposed, p, "native", 3)


def test_arm_computes_the_same():
    check(transposed, CASES["TFLite's padding"], ARM_SDOT)
