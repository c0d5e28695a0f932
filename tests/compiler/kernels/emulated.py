"""Runs kernels of AArch64 under qemu's user-mode emulation, linked to a runner without a libc."""

import shutil
import subprocess
import tempfile
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np

from assay.compiler.link import linker

EMULATOR = shutil.which("qemu-aarch64")

GUARD = 256  # bytes, as in arm_runner.c
_CODES = {"i": 0, "u": 1, "f": 2}  # of DLPack's types


def run(module, inputs, output):
    """Run ``__tvm_ffi_kernel`` of a module and return its output; a kernel gets all that is there.

    Reads beside an array see 0xFF, which is NaN in float32, and writes beside the output fail.
    """
    folder = _workplace()
    module.write_to_file(str(folder / "kernel.o"), "o")
    objects = [str(_runner()), str(folder / "kernel.o")]
    program = str(folder / "program")
    _checked([*linker(), "-m", "aarch64linux", "-static", "-o", program, *objects])
    done = subprocess.run(
        [EMULATOR, program], input=_message([*inputs, output]), capture_output=True, check=False
    )
    assert done.returncode == 0, f"the emulated kernel ended with {done.returncode}: {done.stderr}"
    memory = np.frombuffer(done.stdout, np.uint8)
    assert (memory[:GUARD] == 255).all(), "written before the output"
    assert (memory[memory.size - GUARD :] == 255).all(), "written after the output"
    tensor = memory[GUARD : memory.size - GUARD]
    return tensor.view(output.dtype).reshape(output.shape)


@lru_cache(maxsize=1)
def _workplace():
    folder = Path(tempfile.mkdtemp(prefix="assay-arm-"))
    import atexit

    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@lru_cache(maxsize=1)
def _runner():
    source, made = Path(__file__).with_name("arm_runner.c"), _workplace() / "runner.o"
    how = "-target aarch64-linux-gnu -c -O1 -ffreestanding -fno-stack-protector -fno-sanitize=all"
    _checked([str(files("ziglang").joinpath("zig")), "cc", *how.split(), source, "-o", made])
    return made


def _checked(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _message(tensors):
    parts = [np.int64(len(tensors)).tobytes()]
    for tensor in tensors:
        kind, bits = _CODES[tensor.dtype.kind], 8 * tensor.dtype.itemsize
        parts.append(np.array([kind, bits, tensor.ndim, *tensor.shape], np.int64).tobytes())
        parts.append(np.ascontiguousarray(tensor).tobytes())
    return b"".join(parts)
