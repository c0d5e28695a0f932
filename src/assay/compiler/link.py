"""Link object files to a shared library with LLD, so that no system toolchain is needed."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from assay.errors import CompileError


def link_shared(output: str, objects: Sequence[str], **_unused: Any) -> None:
    """Link ELF objects to a shared library (the signature is TVM's ``fcompile``).

    Undefined symbols (libm, TVM's runtime) are left to the loading process, which has them.
    """
    command = [*linker(), "-shared", "-o", output, *objects]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CompileError(f"LLD could not link {output}: {done.stderr.strip().splitlines()[-1]}")


def linker() -> list[str]:
    """Return the command that runs the ELF linker out of the ziglang package."""
    return [str(files("ziglang").joinpath("zig")), "ld.lld"]
