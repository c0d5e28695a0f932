"""Additions behind a convolution: all pairs of bytes, computed by multiply-adds or without."""

import numpy as np
import pytest

from assay.compiler.kernels.int8 import conv2d
from assay.compiler.kernels.int8.fused import fused_sum
from assay.compiler.kernels.int8.problem import Addition
from assay.compiler.kernels.int8.stored import StoredRange
from tests.compiler.kernels.int8 import reference
from tests.compiler.kernels.int8.cases import conv
from tests.compiler.kernels.int8.harness import ARM_SDOT, MAIN_TARGETS, isa, run

RESULT = StoredRange(129, 2, 254)
FUSED = {
    "any factors": Addition(0.512371943, 0.834172611, 121, StoredRange(133, 0, 255)),
    "relu": Addition(1.137719237, 0.291634719, 3, StoredRange(0, 0, 255)),
    "all on the middle, even zero point": Addition(0.5, 0.5, 121, StoredRange(140, 20, 200)),
    "all on the middle, odd zero point": Addition(0.5, 0.5, 121, StoredRange(139, 0, 255)),
    "subtraction": Addition(0.743119731, -1.203847117, 128, StoredRange(128, 0, 255)),
}
SEPARATE = {
    "middles of decimal factors": Addition(0.7, 0.7, 121, StoredRange(140, 0, 255)),
    "tiny": Addition(1e-30, 0.5, 121, StoredRange(140, 0, 255)),
}


@pytest.mark.parametrize("text", [*MAIN_TARGETS, ARM_SDOT])
@pytest.mark.parametrize("case", FUSED | SEPARATE)
def test_all_pairs_of_bytes_are_added_as_the_arithmetic_says(text, case):
    """Rows of the image are one byte, channels of 16 pixels the other one."""
    addition = (FUSED | SEPARATE)[case]
    assert (fused_sum(addition, RESULT) is not None) == (case in FUSED)
    problem = conv(256, 16, 4, 16, 1, input_zero_point=129, output=RESULT, addition=addition)
    image = np.full((1, 256, 16, 4), 129, np.uint8)
    image[..., 0] = np.arange(256)[:, None]
    addend = np.resize(np.arange(256), image.size * 4).reshape(1, 256, 16, 16).astype(np.uint8)
    weights = np.zeros((1, 1, 4, 16), np.int8)
    weights[0, 0, 0] = 1
    bias, ones = np.zeros(16, np.int32), np.ones(16, np.float32)
    packed = conv2d.pack(problem, isa(text), weights, bias, ones)
    kernel = conv2d.generate(problem, isa(text), "kernel")
    actual = run(kernel, text, [image, *packed, addend], addend.shape)
    sums = np.broadcast_to(image[..., :1].astype(np.int64) - 129, addend.shape)
    np.testing.assert_array_equal(actual, reference.output(problem, sums, ones, addend))
