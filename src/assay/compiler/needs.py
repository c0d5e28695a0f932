"""What code for a target asks of the machine that runs it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.compiler import tvm_api

if TYPE_CHECKING:
    from assay.compiler.target import ResolvedTarget

# What LLVM uses unasked where the target's CPU has it, and what kernels ask it for: LLVM's name and
# Linux's. Other features that only intrinsics reach are left out: virtual machines hide many.
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
    "avxifma": "avx_ifma", "amx-tile": "amx_tile", "amx-int8": "amx_int8",
}
_ARM = {
    "neon": "asimd", "crc": "crc32", "lse": "atomics", "rdm": "asimdrdm", "rcpc": "lrcpc",
    "fullfp16": "asimdhp", "dotprod": "asimddp", "jsconv": "jscvt", "sve": "sve", "sve2": "sve2",
    "i8mm": "i8mm", "bf16": "bf16",
}
# fmt: on
FEATURES = {"x86_64": _X86, "aarch64": _ARM}
"""By architecture, LLVM's names of the features that matter, and Linux's of the same."""

TILES = frozenset({"amx-tile", "amx-int8"})
"""Those of matrix tiles."""

_SAME = {"amd64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True)
class Needs:
    """An architecture, and which of its ``FEATURES`` the code may use, by LLVM's names."""

    arch: str
    features: tuple[str, ...]

    @property
    def tiles(self) -> bool:
        """Whether the process that runs the code has to ask for matrix tiles first."""
        return "amx-tile" in self.features


def needs_of(target: ResolvedTarget, uses: Iterable[str] = TILES) -> Needs:
    """Ask LLVM what code for a target may use.

    Matrix tiles it does not use unasked: of these, code needs only what kernels use.
    """
    unused = TILES.difference(uses)
    triple = str(dict(target.fields).get("mtriple") or tvm_api.system_triple())
    arch, made = arch_of(triple.split("-")[0]), target.tvm()
    names = (name for name in FEATURES.get(arch, {}) if name not in unused)
    return Needs(arch, tuple(name for name in names if tvm_api.has_feature(made, name)))


def arch_of(name: str) -> str:
    """Return one name for each architecture, of those that systems give it."""
    return _SAME.get(name.lower(), name)
