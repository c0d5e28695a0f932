import numpy as np
import pytest

from assay.compiler.kernels.int8 import concat
from assay.compiler.kernels.int8.concat import QuantizedConcat, QuantizedPad
from assay.compiler.kernels.int8.elementwise import Operand
from assay.compiler.kernels.int8.stored import StoredRange
from tests.compiler.kernels.int8 import reference
from tests.compiler.kernels.int8.harness import MAIN_TARGETS, isa, run, stored

TARGET = StoredRange(100, 3, 250)


def check(problem, text, parallel=1):
    assert concat.applicable(problem)
    joined = isinstance(problem, QuantizedConcat)
    operands = problem.inputs if joined else (problem.input,)
    factors = problem.factors if joined else (problem.factor,)
    rng = np.random.default_rng(0)
    inputs = [stored(rng, *operand.shape) for operand in operands]
    parts = [
        reference.quantize(reference.centred(x, operand.zero_point, factor), problem.output)
        for x, operand, factor in zip(inputs, operands, factors, strict=True)
    ]
    if joined:
        expected = np.concatenate(parts, problem.axis)
    else:
        widths = list(zip(problem.before, problem.after, strict=True))
        expected = np.pad(parts[0], widths, constant_values=problem.fill)
    function = concat.generate(problem, isa(text), "kernel", parallel)
    np.testing.assert_array_equal(run(function, text, inputs, expected.shape), expected)
    return function


@pytest.mark.parametrize("text", MAIN_TARGETS)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_inputs_of_different_quantization_are_joined(text, axis):
    def operand(size, zero_point):
        shape = [3, 5, 37]
        shape[axis] = size
        return Operand(tuple(shape), zero_point)

    inputs = (operand(2, 100), operand(1, 7), operand(40, 200))
    check(QuantizedConcat(inputs, (1.0, 0.6, 1.3), axis, TARGET), text)


PADS = [
    ((2, 5, 6, 7), (0, 1, 2, 0), (0, 2, 1, 0)),
    ((3, 5), (1, 0), (0, 3)),
    ((4,), (3,), (70,)),
    ((2, 3, 4), (0, 0, 0), (0, 0, 0)),
    ((2, 3, 4), (1, 1, 1), (1, 1, 1)),
]


@pytest.mark.parametrize("text", MAIN_TARGETS)
@pytest.mark.parametrize(("shape", "before", "after"), PADS, ids=str)
@pytest.mark.parametrize("factor", [1.0, 0.8])
def test_tensors_are_padded(text, shape, before, after, factor):
    zero_point = 100 if factor == 1.0 else 7
    check(QuantizedPad(Operand(shape, zero_point), before, after, 42, factor, TARGET), text)


def test_threads_share_the_work():
    operand = Operand((4, 300, 300), 7)
    pad = QuantizedPad(operand, (1, 1, 1), (1, 1, 1), 42, 0.8, TARGET)
    rows = QuantizedConcat((operand, operand), (0.5, 0.6), 2, TARGET)
    whole = QuantizedConcat((operand, operand), (0.5, 0.6), 0, TARGET)
    for problem in (pad, rows, whole):
        assert "T.parallel" in check(problem, "native", 3).script()
