"""Read or compile in a child process: a crash is an error and not the caller's end.

The child is ``python -m assay.isolated PARENT``, with a request as JSON on stdin; it answers on
stdout. Its stderr is kept and quoted if it dies.
"""

from __future__ import annotations

import faulthandler
import json
import os
import pickle
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from assay import errors
from assay.compiler.config import Config
from assay.errors import AssayError, CrashError
from assay.processes import (
    OUT_OF_MEMORY,
    die_with,
    end_of,
    keep,
    limit,
    limits,
    out_of_memory,
)

if TYPE_CHECKING:
    from assay.compiler.build import Build
    from assay.model.facts import Model

_CPU_S = {"read": 600, "compile": 3600}

# All that the facts of a model are made of: nothing else is taken from a child.
_FACTS = {
    ("assay.model.facts", "Model"),
    ("assay.model.facts", "Operator"),
    ("assay.model.facts", "Signature"),
    ("assay.model.facts", "Tensor"),
    ("assay.model.spec", "Argument"),
    ("assay.model.spec", "Quantization"),
    ("assay.model.spec", "TensorSpec"),
}


@dataclass(frozen=True)
class Exported:
    """The code that a child compiled and linked, in the place of a Build's executable."""

    library: bytes


class _Facts(pickle.Unpickler):
    """Unpickles facts of a model, and calls nothing that is not one of their classes."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _FACTS:
            raise pickle.UnpicklingError(f"{module}.{name} is no fact of a model")
        return super().find_class(module, name)


def read_isolated(path: Path) -> Model:
    """Read the facts of a model in a child process with limits (see SECURITY.md).

    Raises what reading raises, and CrashError if the child died.
    """
    with TemporaryDirectory(prefix="assay-") as folder:
        facts = Path(folder) / "facts"
        _ask(path, {"do": "read", "model": str(path), "facts": str(facts)}, Path(folder))
        with facts.open("rb") as file:
            model: Model = _Facts(file).load()
    return replace(model, path=path)


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
        log = tuple(_ask(model, {"do": "compile", **request}, Path(folder))["log"])
        manifest = read_artifact(library)
        data = read_data(library, data_bytes(manifest.constants))
        code = library.read_bytes()[: manifest.library_bytes - data.nbytes]
        return Build(manifest, log, Exported(code), data)


def _ask(model: Path, request: dict[str, Any], folder: Path) -> dict[str, Any]:
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
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        answer = {}
    if "error" in answer:
        raise getattr(errors, answer["kind"])(answer["error"])
    if done.returncode == 0 and answer:
        return answer
    how, did = end_of(done.returncode), {"read": "read", "compile": "compiled"}[request["do"]]
    raise CrashError(f"{model}: the process that {did} it ended by {how}{keep(done.stderr)}")


def main() -> None:
    """Carry out the request on stdin; an AssayError is an answer, a bug a traceback."""
    die_with(int(sys.argv[1]))
    faulthandler.enable()
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever libraries print
    request = json.loads(sys.stdin.read())
    do = request.pop("do")
    limit(limits(_CPU_S[do]))
    try:
        answer = _read(**request) if do == "read" else _compile(**request)
    except AssayError as error:
        answer = {"kind": type(error).__name__, "error": str(error)}
    except Exception as error:
        if not out_of_memory(error):
            raise
        answer = {"kind": CrashError.__name__, "error": f"{request['model']}: {OUT_OF_MEMORY}"}
    channel.write("\n" + json.dumps(answer) + "\n")
    channel.flush()


def _read(model: str, facts: str) -> dict[str, Any]:
    from assay.model.reader import read

    # A path is no plain value, and the parent knows it.
    found = replace(read(model), path=None)  # type: ignore[arg-type]
    Path(facts).write_bytes(pickle.dumps(found))
    return {"done": True}


def _compile(model: str, config: dict[str, Any], library: str) -> dict[str, Any]:
    from assay.compiler.build import compile_model
    from assay.model.reader import read

    # JSON knows no tuples, and a Config has no lists.
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}
    build = compile_model(read(model), Config(**fields))
    build.save(library)
    return {"log": build.log}


if __name__ == "__main__":
    main()
