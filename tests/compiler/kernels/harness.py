"""Compiles a kernel, runs it between guard zones, and compares with a reference."""

import re
from dataclasses import replace
from functools import lru_cache

import numpy as np
import tvm
from tvm import tirx

from assay.compiler.codegen import build_kernels
from assay.compiler.kernel_shares import shared_body
from assay.compiler.target import resolve_target
from assay.compiler.tiles import allow_tiles
from assay.errors import TargetError
from tests.compiler.kernels import emulated, reference

GUARD = 64  # elements before and after each tensor: a multiple of TVM's alignment of 64 bytes

SSE2 = "llvm -mtriple=x86_64-linux-gnu"
AVX2 = f"{SSE2} -mcpu=core-avx2"
ARM = "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72"


def runnable_targets():
    """The host's own target, and the two older x86 levels where the host has them."""
    texts = ["native"]
    host = resolve_target("native").isa
    if host.arch == "x86_64":
        texts.insert(0, SSE2)
        if host.vector_bits >= 256:
            texts.insert(1, AVX2)
    return texts


@lru_cache
def target(text):
    return resolve_target(text)


def isa(text):
    return target(text).isa


def compile_kernel(function, text, name="kernel"):
    return build_kernels(tvm.IRModule({name: function}), target(text).tuned())


def run(function, text, inputs, output_shape, name="kernel", replaced=None):
    """Run a kernel with a float32 output; reads outside its tensors give NaN, writes there fail.

    The output is in the memory of input ``replaced``, if that is given (not emulated).
    """
    module = compile_kernel(function, text, name)
    if target(text).isa.arch == "aarch64" != target("native").isa.arch:
        return emulated.run(module, inputs, np.full(output_shape, np.nan, np.float32))
    if target(text).isa.tiles:
        allow_tiles(name)
    tensors = [_guarded(array.shape, array)[1] for array in inputs]
    before = np.float32(np.nan) if replaced is None else inputs[replaced]
    memory, output = _guarded(output_shape, before)
    if replaced is not None:
        tensors[replaced] = output
    module[name](*[tvm.runtime.from_dlpack(t) for t in (*tensors, output)])
    memory = memory.copy()
    result = output.copy()
    assert np.isnan(memory[:GUARD]).all(), "written before the output"
    assert np.isnan(memory[memory.size - GUARD :]).all(), "written after the output"
    return result


def run_shares(function, text, inputs, output_shape, shares):
    """Return what so many shares of a kernel write, one after the other, as threads would.

    Before each, the kernel runs on what is not a number, so that none finds another's workspace.
    """
    shared = shared_body(function.body, independent=True)
    name = {n: f"share{n}" for n in range(shares)}
    mod = {
        name[n]: function.with_body(
            tirx.SeqStmt(
                [tirx.Bind(shared.share, n), tirx.Bind(shared.shares, shares), shared.body]
            )
        ).with_attr("global_symbol", name[n])
        for n in range(shares)
    }
    module = build_kernels(tvm.IRModule({**mod, "kernel": function}), target(text).tuned())
    tensors = [_guarded(array.shape, array)[1] for array in inputs]
    nothing = [_guarded(inputs[0].shape, np.float32(np.nan))[1], *tensors[1:]]
    outputs = [_guarded(output_shape, np.float32(np.nan))[1] for _ in range(2)]
    for n in range(shares):
        module["kernel"](*map(tvm.runtime.from_dlpack, (*nothing, outputs[0])))
        module[name[n]](*map(tvm.runtime.from_dlpack, (*tensors, outputs[1])))
    return outputs[1]


def _guarded(shape, fill):
    size = int(np.prod(shape))
    memory = np.full(size + 2 * GUARD + 16, np.nan, np.float32)  # or as wide as it
    shift = -memory.ctypes.data % 64 // 4
    memory = memory[shift : shift + size + 2 * GUARD].view(fill.dtype)
    tensor = memory[GUARD : GUARD + size].reshape(shape)
    tensor[...] = fill
    return memory, tensor


def innermost_blocks(module, isa):
    """The x86 assembly between labels and jumps, where it multiplies a lot."""
    multiply = "vfmadd" if isa.fma else "mulps"
    blocks = re.split(r"^\.LBB\S+:|^\tj\w+\t", module.inspect_source("asm"), flags=re.MULTILINE)
    return [block for block in blocks if block.count(multiply) >= 8]


def random(rng, *shape):
    return rng.uniform(-1, 1, shape).astype(np.float32)


def assert_close(actual, expected, depth, scale=1.0):
    """Within what summing ``depth`` products of size about ``scale`` in float32 may lose."""
    tolerance = 2.0**-23 * (depth + 16) * max(scale, 1.0)
    np.testing.assert_allclose(actual, expected, rtol=4e-6, atol=tolerance)


def check_conv2d(algorithm, problem, text, parallel=1, scale=1.0, caches=None):
    """Compare an algorithm's kernel on random data with the definition of the convolution.

    ``caches`` replaces the sizes of caches that the kernel is generated for. Returns the kernel.
    """
    function, actual, expected, _ = run_conv2d(algorithm, problem, text, parallel, caches)
    assert_close(actual, expected, int(np.prod(problem.weights_shape[:3])), scale)
    return function


def run_conv2d(algorithm, problem, text, parallel=1, caches=None):
    """Return an algorithm's kernel, its outputs, the expected ones, and their sums, all NHWC."""
    assert algorithm.applicable(problem)
    rng = np.random.default_rng(0)
    x, weights = random(rng, *problem.input_shape), random(rng, *problem.weights_shape)
    gates = [random(rng, *problem.gate_shape)] if problem.input_gate else []
    shapes = problem.epilogue.operand_shapes(problem.output_shape, problem.channel_axis)
    operands = [random(rng, *shape) for shape in shapes]
    machine = replace(isa(text), **caches or {})
    function = algorithm.generate(problem, machine, "kernel", parallel)
    packed = algorithm.pack(problem, machine, weights)
    actual = run(function, text, [x, packed, *gates, *operands], problem.output_shape)

    def channels_last(array):
        return np.moveaxis(array, problem.channel_axis, -1) if array.ndim == 4 else array

    last = replace(problem, layout="NHWC", input_layout=None)
    image = x if problem.input_layout == "NHWC" else channels_last(x)
    sums = reference.conv2d(last, image, weights, *map(channels_last, gates))
    operands = [channels_last(operand) for operand in operands]
    expected = reference.epilogue(problem.epilogue.steps, sums, operands)
    return function, channels_last(actual), expected, sums


try:
    TARGETS = runnable_targets()
except TargetError:  # pragma: no cover - an LLVM that does not know its host
    TARGETS = ["native"]
