"""Whether this machine can run what was compiled for a target: asked before a signal tells."""

from __future__ import annotations

import platform
from pathlib import Path

from assay.compiler import tvm_api
from assay.compiler.target import resolve_target
from assay.timing.cpu import ROOT, cpu_flags, cpu_model

# What a code generator uses unasked where the target's CPU has it: LLVM's name and the kernel's.
# Features that only intrinsics reach are left out: virtual machines hide many of those.
# fmt: off
_X86 = {
    "sse2": "sse2", "sse3": "pni", "ssse3": "ssse3", "sse4.1": "sse4_1", "sse4.2": "sse4_2",
    "sse4a": "sse4a", "popcnt": "popcnt", "cx16": "cx16", "lzcnt": "abm", "movbe": "movbe",
    "avx": "avx", "f16c": "f16c", "fma": "fma", "avx2": "avx2", "bmi": "bmi1", "bmi2": "bmi2",
    "fma4": "fma4", "xop": "xop", "tbm": "tbm", "gfni": "gfni",
    "avx512f": "avx512f", "avx512cd": "avx512cd", "avx512bw": "avx512bw", "avx512dq": "avx512dq",
    "avx512vl": "avx512vl", "avx512ifma": "avx512ifma", "avx512vbmi": "avx512vbmi",
    "avx512vbmi2": "avx512_vbmi2", "avx512vnni": "avx512_vnni", "avx512bitalg": "avx512_bitalg",
    "avx512vpopcntdq": "avx512_vpopcntdq", "avx512bf16": "avx512_bf16",
    "avx512fp16": "avx512_fp16", "avxvnni": "avx_vnni", "avxvnniint8": "avx_vnni_int8",
    "avxifma": "avx_ifma",
}
_ARM = {
    "neon": "asimd", "crc": "crc32", "lse": "atomics", "rdm": "asimdrdm", "rcpc": "lrcpc",
    "fullfp16": "asimdhp", "dotprod": "asimddp", "jsconv": "jscvt", "sve": "sve", "sve2": "sve2",
    "i8mm": "i8mm", "bf16": "bf16",
}
# fmt: on
_NAMES = {"x86_64": _X86, "aarch64": _ARM}
_SAME = {"amd64": "x86_64", "arm64": "aarch64"}


def obstacle(target: str, root: Path = ROOT) -> str | None:
    """Return why code for a target cannot run here, for the end of a sentence; None if it can.

    What the kernel under ``root`` does not tell is taken to be there. TargetError if the target
    cannot be read.
    """
    resolved = resolve_target(target)
    fields = dict(resolved.fields)
    triple = str(fields.get("mtriple") or tvm_api.system_triple())
    arch, machine = (_arch(name) for name in (triple.split("-")[0], platform.machine()))
    if arch != machine:
        return f"it is for {arch}, and this machine is {machine}"
    flags = cpu_flags(root)
    if not flags:
        return None
    absent = [name for name, flag in _NAMES.get(arch, {}).items() if flag not in flags]
    lacking = [name for name in absent if tvm_api.has_feature(resolved.tvm(), name)]
    return f"this CPU, {cpu_model(root)}, lacks {', '.join(sorted(lacking))}" if lacking else None


def _arch(name: str) -> str:
    return _SAME.get(name.lower(), name)
