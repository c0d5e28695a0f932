"""Matrix tiles of x86-64 (AMX), which Linux gives only to a process that asks for them.

They are 8 KiB of registers that each switch between threads would have to save. How to ask is in
Linux' documentation, "Using XSTATE features in user space applications" (``arch/x86/xstate``).
"""

from __future__ import annotations

import ctypes
import os
from functools import lru_cache
from pathlib import Path

from assay.cpu import ROOT, cpu_flags
from assay.errors import ArtifactError

_FLAGS = frozenset({"amx_tile", "amx_int8"})
_ARCH_PRCTL = 158  # asm/unistd_64.h
_GET_SUPPORTED, _REQUEST_PERMISSION = 0x1021, 0x1023  # ARCH_..._XCOMP_... of asm/prctl.h
_TILE_DATA = 18  # XFEATURE_XTILEDATA


@lru_cache
def tiles_offered(root: Path = ROOT) -> bool:
    """Tell whether the CPU has tiles of 8-bit integers, and a kernel that hands them out.

    A virtual machine that hides them hides their flags; Linux before 5.16 cannot save them.
    """
    return cpu_flags(root) >= _FLAGS and bool(_supported() >> _TILE_DATA & 1)


def allow_tiles(code: str) -> None:
    """Get this process the right to use tiles, in all its threads; again is fine.

    Without it the first instruction that loads a tile ends the process with SIGILL. A process that
    is forked inherits it, a program that is executed has to ask again. ArtifactError, about
    ``code``, if it is refused.
    """
    refusal = _arch_prctl(_REQUEST_PERMISSION, ctypes.c_ulong(_TILE_DATA))
    if refusal:
        raise ArtifactError(
            f"{code}: cannot run here, as Linux gives this process no matrix tiles (AMX): "
            f"{os.strerror(refusal)}; compile it for a target with -mattr=-amx-tile"
        )


def _supported() -> int:
    """Return the parts of the CPU's state that the kernel can save, a bit each; 0 if unknown."""
    features = ctypes.c_uint64()
    refused = _arch_prctl(_GET_SUPPORTED, ctypes.byref(features))
    return 0 if refused else features.value


def _arch_prctl(request: int, argument: object) -> int:
    """Call Linux' ``arch_prctl``; return 0 or the number of an error."""
    libc = ctypes.CDLL(None, use_errno=True)
    number, code = ctypes.c_long(_ARCH_PRCTL), ctypes.c_long(request)
    return 0 if libc.syscall(number, code, argument) == 0 else ctypes.get_errno()
