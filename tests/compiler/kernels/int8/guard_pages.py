"""Runs products whose tensors end right before a page that must not be touched."""

import ctypes
import mmap
from itertools import product

import numpy as np
import tvm

from assay.compiler.kernels.int8 import conv2d, dense, depthwise
from assay.compiler.tiles import allow_tiles
from tests.compiler.kernels.int8.cases import ADDITION, conv, tensors
from tests.compiler.kernels.int8.harness import TARGETS, compile_kernel, isa
from tests.compiler.kernels.int8.test_dense import layer

PAGE = mmap.PAGESIZE
KEPT = []  # the maps, for as long as the tensors are used

# Inputs and outputs are multiples of TVM's alignment, so that they end right there.
PROBLEMS = [
    (dense, layer((64,), 5, 64)),
    (dense, layer((64,), 37, 64, weights_zero_point=3)),
    (conv2d, conv(8, 8, 7, 64, 1, weights_zero_point=3)),
    (conv2d, conv(16, 8, 3, 64, 3)),
    (depthwise, conv(8, 8, 72, 72, 3, groups=72, addition=ADDITION)),
]


def at_page_end(array):
    """Copy an array to where its last page ends, or up to 63 bytes before for TVM's alignment."""
    size = -(-array.nbytes // 64) * 64
    length = -(-size // PAGE) * PAGE
    memory = mmap.mmap(-1, length + PAGE)
    KEPT.append(memory)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mprotect(ctypes.c_void_p(address + length), PAGE, 0) == 0  # PROT_NONE
    tensor = np.frombuffer(memory, array.dtype, array.size, length - size).reshape(array.shape)
    tensor[...] = array
    return tensor


def main():
    for text, (module, problem) in product(TARGETS, PROBLEMS):
        x, weights, bias, multipliers = tensors(problem)
        packed = module.pack(problem, isa(text), weights, bias, multipliers)
        output = np.zeros(problem.geometry.output_shape, np.uint8)
        outputs = [output.copy(), output] if problem.addition else [output]
        kernel = compile_kernel(module.generate(problem, isa(text), "kernel"), text)["kernel"]
        if isa(text).tiles:
            allow_tiles("kernel")
        arrays = [at_page_end(array) for array in (x, *packed, *outputs)]
        kernel(*map(tvm.runtime.from_dlpack, arrays))


if __name__ == "__main__":
    main()
