"""One kernel of each kind, compiled for AArch64 and run under emulation, against NumPy."""

from dataclasses import replace

import pytest

from assay.compiler.kernels import pointwise
from assay.compiler.kernels.elementwise import Elementwise
from assay.compiler.kernels.epilogue import Epilogue, bias, clip, residual, unary
from assay.compiler.kernels.int8 import conv2d as int8_conv2d
from assay.compiler.kernels.int8 import dense as int8_dense
from assay.compiler.kernels.int8 import depthwise as int8_depthwise
from assay.compiler.kernels.nchw import convolution as nchw_convolution
from assay.compiler.kernels.nchw import depthwise as nchw_depthwise
from assay.compiler.kernels.nchw import pointwise as nchw_pointwise
from assay.compiler.kernels.problem import Dense
from assay.compiler.kernels.reduction import Reduction
from assay.compiler.kernels.softmax import Softmax
from tests.compiler.kernels import (
    emulated,
    test_batch_matmul,
    test_dense,
    test_depthwise,
    test_direct,
    test_elementwise,
    test_expand_depthwise,
    test_pointwise,
    test_pool,
    test_reduction,
    test_resize,
    test_softmax,
    test_transposed,
    test_winograd,
)
from tests.compiler.kernels.harness import ARM, check_conv2d
from tests.compiler.kernels.int8 import (
    cases,
    test_lookup,
)
from tests.compiler.kernels.int8 import test_dense as int8_dense_cases
from tests.compiler.kernels.int8 import test_depthwise as int8_depthwise_cases
from tests.compiler.kernels.int8 import test_elementwise as int8_elementwise
from tests.compiler.kernels.int8 import test_pool as int8_pool
from tests.compiler.kernels.int8 import test_softmax as int8_softmax
from tests.compiler.kernels.int8.harness import ARM_PLAIN, ARM_SDOT
from tests.compiler.kernels.nchw import problems
from tests.compiler.kernels.nchw import test_pool as nchw_pool
from tests.compiler.kernels.nchw import test_transposed as nchw_transposed
from tests.compiler.kernels.nchw import test_winograd as nchw_winograd

pytestmark = pytest.mark.skipif(
    emulated.EMULATOR is None, reason="needs qemu-aarch64, of Debian's package qemu-user"
)

STEPS = Epilogue((bias(), residual(), clip(-0.5, 0.7)))

FLOAT = {
    "pointwise": lambda: check_conv2d(
        pointwise, test_pointwise.pointwise_problem(1, 5, 5, 7, 21, epilogue=STEPS), ARM
    ),
    "direct": lambda: test_direct.check(
        test_direct.conv_problem((6, 7), 3, 10, (3, 3), (2, 2)), ARM
    ),
    "depthwise": lambda: test_depthwise.check(
        test_depthwise.depthwise_problem(6, 7, 9, (3, 3)), ARM
    ),
    "winograd": lambda: test_winograd.check(test_winograd.conv_problem((6, 7), 5, 9), ARM),
    "expand and depthwise": lambda: test_expand_depthwise.check(
        test_expand_depthwise.block((6, 7), 4, 9), ARM
    ),
    "transposed": lambda: test_transposed.check(
        test_transposed.problem((4, 5), (3, 9), (3, 3), (2, 2), (1, 1)), ARM
    ),
    "dense": lambda: test_dense.check(Dense((3,), 13, 18), ARM),
    "batch matmul": lambda: test_batch_matmul.check(
        ((2, 9, 12), (0, 1, 2)), ((2, 21, 12), (0, 2, 1)), ARM
    ),
    "pool": lambda: test_pool.check(
        test_pool.pool_problem("average", (5, 6), 9, (3, 3), (2, 2), (1, 1)), ARM
    ),
    "reduction": lambda: test_reduction.check(Reduction("mean", 2, 9, 7), ARM),
    "reduction along rows": lambda: test_reduction.check(Reduction("mean", 7, 37, 1), ARM),
    "resize": lambda: test_resize.check(test_resize.bilinear((4, 5), 21, (9, 7)), ARM),
    "resize lines": lambda: test_resize.check(test_resize.bilinear((4, 5), 3, (9, 7)), ARM),
    "softmax": lambda: test_softmax.check(Softmax((3, 21)), ARM),
    "softmax of planes": lambda: test_softmax.check(Softmax((2, 5, 21), axis=1), ARM),
    "nchw pool": lambda: nchw_pool.check(
        replace(test_pool.pool_problem("max", (7, 9), 3, (3, 3), (2, 2), (1, 1)), layout="NCHW"),
        ARM,
    ),
    "elementwise": lambda: test_elementwise.check(
        Elementwise((3, 21), ((3, 21),), (unary("tanh"), unary("swish"))), ARM
    ),
    "nchw winograd": lambda: nchw_winograd.check(nchw_winograd.conv_problem((6, 7), 5, 9), ARM),
    "nchw transposed": lambda: nchw_transposed.check(
        nchw_transposed.problem((4, 5), (3, 9), (3, 3), (2, 2), (1, 1)), ARM
    ),
    "nchw convolution": lambda: check_conv2d(
        nchw_convolution, problems.convolution((5, 6), (3, 7), (3, 3), stride=(2, 2)), ARM
    ),
    "nchw convolution from nhwc": lambda: check_conv2d(
        nchw_convolution,
        problems.convolution((5, 9), (3, 7), (3, 3), stride=(2, 2), input_layout="NHWC"),
        ARM,
    ),
    "nchw pointwise": lambda: check_conv2d(
        nchw_pointwise, problems.convolution((7, 7), (11, 29), (1, 1)), ARM
    ),
    "nchw depthwise": lambda: check_conv2d(
        nchw_depthwise, problems.depthwise((5, 6), 5, (3, 3)), ARM
    ),
    "nchw depthwise, narrow": lambda: check_conv2d(
        nchw_depthwise,
        problems.depthwise((10, 7), 3, (5, 5), stride=(1, 2), epilogue=problems.LONG),
        ARM,
    ),
}

INT8 = {
    "convolution": lambda text: cases.check(int8_conv2d, cases.conv(5, 6, 7, 21, 3), text),
    "depthwise": lambda text: cases.check(
        int8_depthwise, int8_depthwise_cases.depthwise_conv(6, 7, 21, 3), text
    ),
    "dense": lambda text: cases.check(int8_dense, int8_dense_cases.layer((3,), 37, 18), text),
}

STORED = {
    "pool": lambda: int8_pool.check(int8_pool.pooling("average", 6, 6, 21, 2, 2), ARM_PLAIN),
    "add": lambda: int8_elementwise.check(
        int8_elementwise.add((3, 37), (3, 37), (3, 37)), ARM_PLAIN
    ),
    "softmax": lambda: int8_softmax.check((3, 21), ARM_PLAIN),
    "table": lambda: test_lookup.check((3, 37), ARM_PLAIN),
}


@pytest.mark.parametrize("kind", FLOAT)
def test_float_kernels_give_numpys_result(kind):
    FLOAT[kind]()


@pytest.mark.parametrize("text", [ARM_PLAIN, ARM_SDOT], ids=["widening", "sdot"])
@pytest.mark.parametrize("kind", INT8)
def test_integer_products_are_exact(kind, text):
    INT8[kind](text)


@pytest.mark.parametrize("kind", STORED)
def test_other_integer_kernels_are_exact(kind):
    STORED[kind]()
