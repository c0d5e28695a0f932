import numpy as np
import pytest

from assay.compiler.kernels.int8 import convert
from assay.compiler.kernels.int8.convert import Dequantize, Quantize, Shift
from assay.compiler.kernels.int8.stored import StoredRange
from tests.compiler.kernels.int8 import reference
from tests.compiler.kernels.int8.harness import MAIN_TARGETS, TARGETS, isa, run, stored

SHAPES = [(1,), (3, 5), (2, 7, 33), (257,)]


def kernel(problem, text, parallel=1):
    assert convert.applicable(problem)
    return convert.generate(problem, isa(text), "kernel", parallel)


@pytest.mark.parametrize("text", TARGETS)
def test_real_numbers_become_bytes(text):
    target = StoredRange(3)
    values = np.array([0, 1, -1, 0.5, 1.5, 2.5, -0.5, 1e9, -1e9, np.inf, -np.inf, 1e-9], np.float32)
    x = np.concatenate([values, np.linspace(-5, 300, 501, dtype=np.float32)])
    problem = Quantize(x.shape, 1.1, target)
    with np.errstate(over="ignore"):
        expected = reference.quantize(x * np.float32(1.1), target)
    np.testing.assert_array_equal(run(kernel(problem, text), text, [x], x.shape), expected)


@pytest.mark.parametrize("text", MAIN_TARGETS)
def test_not_a_number_becomes_a_byte_within_the_range(text):
    x = np.full(19, np.nan, np.float32)
    result = run(kernel(Quantize((19,), 1.0, StoredRange(3, 2, 9)), text), text, [x], (19,))
    assert ((result >= 2) & (result <= 9)).all()


@pytest.mark.parametrize("text", MAIN_TARGETS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_bytes_become_real_numbers(text, shape):
    x = stored(np.random.default_rng(0), *shape)
    result = run(kernel(Dequantize(shape, 77, 0.3), text), text, [x], shape, np.float32)
    np.testing.assert_array_equal(result, reference.centred(x, 77, 0.3))


@pytest.mark.parametrize("text", MAIN_TARGETS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_int8_is_stored_shifted_by_128(text, shape):
    x = stored(np.random.default_rng(0), *shape)
    signed = (x.astype(np.int16) - 128).astype(np.int8)
    there, back = kernel(Shift(shape, "uint8"), text), kernel(Shift(shape, "int8"), text)
    np.testing.assert_array_equal(run(there, text, [signed], shape), x)
    np.testing.assert_array_equal(run(back, text, [x], shape, np.int8), signed)


def test_threads_share_large_tensors():
    problem = Dequantize((500, 1001), 77, 0.3)
    function = kernel(problem, "native", 3)
    assert "T.parallel" in function.script()
    x = stored(np.random.default_rng(0), *problem.shape)
    result = run(function, "native", [x], problem.shape, np.float32)
    np.testing.assert_array_equal(result, reference.centred(x, 77, 0.3))
