"""Compile in a child process: a crash of the compiler is an error and not the caller's end.

The child is ``python -m assay.isolated PARENT``, with a request as JSON on stdin; it answers on
stdout. Its stderr is kept and quoted if it dies.
"""

from __future__ import annotations

import faulthandler
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import TYPE_CHECKING, Any

from assay import errors
from assay.compiler.config import Config
from assay.errors import AssayError, CrashError
from assay.processes import (
    OUT_OF_MEMORY,
    cause_of_death,
    die_with,
    limit,
    limits,
    out_of_memory,
)

if TYPE_CHECKING:
    from assay.compiler.build import Build

_COMPILE_CPU_S = 3600


@dataclass(frozen=True)
class Exported:
    """The code that a child compiled, with as much of TVM's interface to one as a Build needs."""

    library: bytes

    def export_library(self, path: str, **_options: Any) -> None:
        """Write the library, which is linked already."""
        Path(path).write_bytes(self.library)

    def jit(self) -> Any:
        """Return the loaded module; this runs code of the library in the calling process."""
        from assay.runtimes.tvm_library import load_library

        with TemporaryDirectory(prefix="assay-") as folder:
            path = Path(folder) / "model.so"
            path.write_bytes(self.library)
            return load_library(path)


def compile_isolated(model: Path, config: Config) -> Build:
    """Read and compile a model in a child process with limits (see SECURITY.md).

    Raises what compiling raises, and CrashError if the child died: of a signal, of its limit on CPU
    time, or of a bug.
    """
    from assay.compiler.artifact import read_artifact
    from assay.compiler.build import Build
    from assay.compiler.stored_constants import data_bytes, read_data

    with TemporaryDirectory(prefix="assay-") as folder:
        library = Path(folder) / "model.so"
        request = {"model": str(model), "config": config.as_dict(), "library": str(library)}
        log = _ask(model, request, Path(folder))
        manifest = read_artifact(library)
        data = read_data(library, data_bytes(manifest.constants))
        code = library.read_bytes()[: manifest.library_bytes - data.nbytes]
        return Build(manifest, log, Exported(code), data)


def _ask(model: Path, request: dict[str, Any], folder: Path) -> tuple[str, ...]:
    done = subprocess.run(
        [sys.executable, "-m", "assay.isolated", str(os.getpid())],
        input=json.dumps(request),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, "TMPDIR": str(folder), "PYTHONSAFEPATH": "1"},
        start_new_session=True,  # Ctrl-C is for the caller, whose end is the child's
        check=False,
    )
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        answer = {}
    if "error" in answer:
        raise getattr(errors, answer["kind"])(answer["error"])
    if done.returncode == 0 and "log" in answer:
        return tuple(answer["log"])
    how = cause_of_death(-done.returncode) if done.returncode < 0 else f"code {done.returncode}"
    raise CrashError(f"{model}: the process that compiled it ended by {how}{_kept(done.stderr)}")


def _kept(text: str) -> str:
    """Keep what a process wrote before it died, and return the end of the sentence about it."""
    if not text:
        return "; it wrote nothing"
    options: Any = {"prefix": "assay-crash-", "suffix": ".log", "delete": False}
    try:
        with NamedTemporaryFile("w", encoding="utf-8", **options) as file:
            file.write(text)
    except OSError:
        return ""
    return f"; what it wrote is in {file.name}"


def main() -> None:
    """Carry out the request on stdin; an AssayError is an answer, a bug a traceback."""
    die_with(int(sys.argv[1]))
    faulthandler.enable()
    limit(limits(_COMPILE_CPU_S))
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever libraries print
    request = json.loads(sys.stdin.read())
    try:
        answer: dict[str, Any] = {"log": _compile(**request)}
    except AssayError as error:
        answer = {"kind": type(error).__name__, "error": str(error)}
    except Exception as error:
        if not out_of_memory(error):
            raise
        answer = {"kind": CrashError.__name__, "error": f"{request['model']}: {OUT_OF_MEMORY}"}
    channel.write("\n" + json.dumps(answer) + "\n")
    channel.flush()


def _compile(model: str, config: dict[str, Any], library: str) -> tuple[str, ...]:
    from assay.compiler.build import compile_model
    from assay.model.reader import read

    # JSON knows no tuples, and a Config has no lists.
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}
    build = compile_model(read(model), Config(**fields))
    build.save(library)
    return build.log


if __name__ == "__main__":
    main()
