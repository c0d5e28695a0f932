"""Link object files to a shared library with LLD, so that no system toolchain is needed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from assay.compiler.entry_names import BARE
from assay.errors import CompileError


def link_shared(output: str, objects: Sequence[str], **_unused: Any) -> None:
    """Link ELF objects to a shared library (the signature is TVM's ``fcompile``).

    LLVM describes each variable of each kernel to debuggers, in as many bytes as the code takes:
    that is left out; the symbols that profilers show stay. What one object calls in another is
    hidden from the loading process, and called without a detour. Undefined symbols (libm, TVM's
    runtime) are left to that process, which has them. LLD writes to a temporary directory: on a
    full disk it dies of SIGBUS without a word, where copying is an OSError that says why.
    """
    with TemporaryDirectory(prefix="assay-") as folder:
        linked, hidden = Path(folder) / "linked.so", Path(folder) / "hidden"
        hidden.write_text(f"{{ local: *{BARE}; }};\n")
        flags = ["-shared", "--strip-debug", "--version-script", str(hidden)]
        command = [*linker(), *flags, "-o", str(linked), *objects]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = done.stderr.strip().splitlines()[-1:]
            why = said[0] if said else f"it ended with code {done.returncode}"
            raise CompileError(f"LLD could not link {output}: {why}; is there room in {folder}?")
        shutil.copyfile(linked, output)


def linker() -> list[str]:
    """Return the command that runs the ELF linker out of the ziglang package."""
    return [str(files("ziglang").joinpath("zig")), "ld.lld"]
