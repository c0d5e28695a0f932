"""Runs integer kernels between guard zones, on every instruction set that this machine has."""

from functools import lru_cache

import numpy as np
import tvm

from assay.compiler import tvm_api
from assay.compiler.target import resolve_target
from assay.compiler.tiles import allow_tiles
from assay.errors import TargetError
from tests.compiler.kernels import emulated

GUARD = 64  # bytes before and after each tensor, TVM's alignment

X86 = "llvm -mtriple=x86_64-linux-gnu"
SSE2 = X86
AVX2 = f"{X86} -mcpu=core-avx2"
AVX_VNNI = f"{X86} -mcpu=x86-64-v3 -mattr=+avxvnni"
AVX512 = f"{X86} -mcpu=skylake-avx512"
VNNI = f"{X86} -mcpu=icelake-client"
ALDER_LAKE = f"{X86} -mcpu=alderlake"
ARM = "llvm -mtriple=aarch64-linux-gnu"
ARM_PLAIN, ARM_SDOT = f"{ARM} -mcpu=cortex-a72", f"{ARM} -mcpu=cortex-a76"

NEEDS = {SSE2: (), AVX2: ("avx2",), AVX_VNNI: ("avx2", "avxvnni"), AVX512: ("avx512bw", "avx512vl")}


def runnable_targets():
    """The host's own target and all older or narrower x86 ones that the host can run."""
    host = resolve_target("native")
    if host.isa.arch != "x86_64":
        return ["native"]
    features = tvm_api.cpu_features(host.tvm())
    texts = [text for text, needed in NEEDS.items() if features.issuperset(needed)]
    return [*texts, VNNI, "native"] if host.isa.tiles else [*texts, "native"]


try:
    TARGETS = runnable_targets()
except TargetError:  # pragma: no cover - an LLVM that does not know its host
    TARGETS = ["native"]

MAIN_TARGETS = [text for text in TARGETS if text in (SSE2, AVX2, VNNI, "native")]
"""For tests of shapes; those of instructions and of random problems run on all of TARGETS."""


@lru_cache
def target(text):
    return resolve_target(text)


def isa(text):
    return target(text).isa


def compile_kernel(function, text, name="kernel"):
    executable = tvm.compile(tvm.IRModule({name: function}), target(text).tuned())
    return getattr(executable, "mod", executable)


def assembly(function, text):
    return compile_kernel(function, text).inspect_source("asm")


def run(function, text, inputs, output_shape, dtype=np.uint8, name="kernel", fill=None):
    """Run a kernel; what it writes outside the output makes this fail.

    ``fill`` is what the output holds before.
    """
    module = compile_kernel(function, text, name)
    if target(text).isa.arch == "aarch64" != target("native").isa.arch:
        return emulated.run(module, inputs, np.zeros(output_shape, dtype))
    if target(text).isa.tiles:
        allow_tiles(name)
    tensors = [guarded(array.shape, array.dtype, array)[1] for array in inputs]
    memory, output = guarded(output_shape, np.dtype(dtype), fill)
    before = memory.copy()
    module[name](*[tvm.runtime.from_dlpack(t) for t in (*tensors, output)])
    for zone in (slice(GUARD), slice(memory.size - GUARD, None)):
        np.testing.assert_array_equal(memory[zone], before[zone], "written outside the output")
    return output.copy()


def guarded(shape, dtype, fill):
    """Return raw memory and an aligned tensor in its middle; the rest is random."""
    size = int(np.prod(shape)) * dtype.itemsize
    memory = np.random.default_rng(size).integers(0, 256, size + 3 * GUARD, np.uint8)
    start = -memory.ctypes.data % GUARD
    memory = memory[start : start + size + 2 * GUARD]
    tensor = memory[GUARD : GUARD + size].view(dtype).reshape(shape)
    if fill is not None:
        tensor[...] = fill
    return memory, tensor


def stored(rng, *shape):
    return rng.integers(0, 256, shape).astype(np.uint8)
