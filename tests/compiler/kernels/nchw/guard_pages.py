"""Runs a kernel on tensors that lie between pages which must not be touched."""

import ctypes
import mmap
import sys
from itertools import product

import numpy as np
import tvm

from assay.compiler.kernels.nchw import depthwise, pointwise
from tests.compiler.kernels.harness import TARGETS, compile_kernel, isa
from tests.compiler.kernels.int8.guard_pages import KEPT, PAGE, at_page_end
from tests.compiler.kernels.nchw import problems

# Tensors are multiples of TVM's alignment of 16 elements, so that they end right at the page's.
DEPTHWISE = [
    problems.depthwise((7, 7), 16, (3, 3)),
    problems.depthwise((14, 14), 4, (3, 3)),
    problems.depthwise((14, 14), 16, (5, 5), stride=(2, 2), epilogue=problems.LONG),
    problems.depthwise((28, 28), 1, (3, 3)),
    problems.depthwise((28, 28), 4, (3, 3), stride=(2, 2)),
    problems.depthwise((15, 15), 16, (3, 3), stride=(2, 2)),
    problems.depthwise((9, 22), 16, (3, 3), stride=(3, 3)),
    problems.depthwise((1, 13), 16, (1, 5)),
    problems.depthwise((13, 1), 16, (3, 1)),
    problems.depthwise((2, 5), 16, (3, 3), dilation=(1, 2)),
]

POINTWISE = [
    problems.convolution((7, 7), (16, 32), (1, 1)),
    problems.convolution((7, 7), (176, 32), (1, 1)),
    problems.convolution((14, 14), (16, 80), (1, 1), epilogue=problems.LONG),
    problems.convolution((14, 14), (240, 16), (1, 1)),
    problems.convolution((8, 16), (48, 80), (1, 1)),
    problems.convolution((8, 16), (160, 48), (1, 1)),
    problems.convolution((5, 3), (16, 16), (3, 1), pad=(0, 0)),
]


def at_page_start(array):
    """Copy an array to where a page starts."""
    length = -(-array.nbytes // PAGE) * PAGE
    memory = mmap.mmap(-1, PAGE + length)
    KEPT.append(memory)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mprotect(ctypes.c_void_p(address), PAGE, 0) == 0  # PROT_NONE
    tensor = np.frombuffer(memory, array.dtype, array.size, PAGE).reshape(array.shape)
    tensor[...] = array
    return tensor


def main():
    rng = np.random.default_rng(0)
    algorithm, cases = {
        "depthwise": (depthwise, DEPTHWISE),
        "pointwise": (pointwise, POINTWISE),
    }[sys.argv[1]]
    for text, problem in product(TARGETS, cases):
        kernel = compile_kernel(algorithm.generate(problem, isa(text), "kernel"), text)["kernel"]
        operands = problem.epilogue.operand_shapes(problem.output_shape, problem.channel_axis)
        weights = rng.uniform(-1, 1, problem.weights_shape).astype(np.float32)
        shapes = [problem.input_shape, *operands, problem.output_shape]
        arrays = [rng.uniform(-1, 1, shape).astype(np.float32) for shape in shapes]
        arrays.insert(1, algorithm.pack(problem, isa(text), weights))
        for place in (at_page_end, at_page_start):
            kernel(*[tvm.runtime.from_dlpack(place(array)) for array in arrays])


if __name__ == "__main__":
    main()
