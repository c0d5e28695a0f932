import numpy as np
import pytest

from assay.compiler.kernels.int8 import softmax
from assay.compiler.kernels.int8.softmax import QuantizedSoftmax
from assay.compiler.kernels.int8.stored import StoredRange
from tests.compiler.kernels.int8 import reference
from tests.compiler.kernels.int8.harness import ARM_SDOT, MAIN_TARGETS, assembly, isa, run, stored


def check(shape, text, scale=0.1, beta=1.0, parallel=1, x=None):
    problem = QuantizedSoftmax(shape, scale, 1 / 256, StoredRange(0), beta)
    assert softmax.applicable(problem)
    x = stored(np.random.default_rng(0), *shape) if x is None else x
    distance = x.max(-1, keepdims=True).astype(np.float64) - x
    exponentials = np.exp(-distance * scale * beta).astype(np.float32)
    total = np.add.accumulate(exponentials, axis=-1)[..., -1:]
    factor = np.float32(1) / (total * np.float32(1 / 256))
    function = softmax.generate(problem, isa(text), "kernel", parallel)
    actual = run(function, text, [x, softmax.pack(problem, isa(text))], shape)
    np.testing.assert_array_equal(actual, reference.quantize(exponentials * factor, problem.output))
    true = np.exp(-distance * scale * beta)
    np.testing.assert_allclose(actual, 256 * true / true.sum(-1, keepdims=True), atol=1)
    return function


@pytest.mark.parametrize("text", MAIN_TARGETS)
@pytest.mark.parametrize(
    "shape", [(1, 1), (3, 2), (1, 37), (2, 5, 11), (7, 130), (2, 1001), (3, 5000)], ids=str
)
def test_every_byte_is_as_defined(text, shape):
    check(shape, text)


@pytest.mark.parametrize("text", MAIN_TARGETS)
def test_beta_steepens_and_equal_inputs_share(text):
    check((4, 10), text, beta=3.0)
    check((2, 10), text, x=np.full((2, 10), 9, np.uint8))


def test_threads_share_rows():
    assert "T.parallel" in check((500, 200), "native", parallel=3).script()


def test_it_compiles_for_arm():
    problem = QuantizedSoftmax((3, 37), 0.1, 1 / 256, StoredRange(0))
    assert assembly(softmax.generate(problem, isa(ARM_SDOT), "kernel"), ARM_SDOT)
