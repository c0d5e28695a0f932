"""The public functions. Each imports what it needs when called, so that importing assay is fast."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.compiler.config import Config
from assay.errors import ModelError

if TYPE_CHECKING:
    from assay.compiler.build import Build
    from assay.model.facts import Model
    from assay.runtimes.base import Runtime


def read(path: str | Path, *, isolated: bool = False) -> Model:
    """Read the facts of a model file; ModelError if it is missing, damaged or no such.

    With ``isolated`` that is done in a child process with limits on memory and CPU time, whose
    death is a CrashError.
    """
    if isolated:
        from assay.isolated import read_isolated

        return read_isolated(Path(path))
    from assay.model.reader import read as read_model

    return read_model(path)


def compile(  # noqa: A001 - the field's word
    model: Model | str | Path, *, isolated: bool = False, **choices: Any
) -> Build:
    """Compile a model; ``choices`` are the fields of :class:`assay.Config`.

    With ``isolated`` the file is read and compiled in a child process with limits on memory and CPU
    time: if a damaged model or a bug makes the compiler crash, that is a CrashError. Running the
    build loads its code into the calling process in any case.

    Raises ModelError, ConfigError, TargetError, UnsupportedOperatorError or CompileError.
    """
    if isolated:
        from assay.isolated import compile_isolated

        path = Path(model) if isinstance(model, (str, Path)) else model.path
        return compile_isolated(path, Config(**choices))
    from assay.compiler.build import compile_model

    facts = read(model) if isinstance(model, (str, Path)) else model
    return compile_model(facts, Config(**choices))


def load(
    path: str | Path, runtime: str | None = None, threads: int = 1, *, isolated: bool = False
) -> Runtime:
    """Open a compiled ``.so`` or a model file with a runtime; see ``assay.runtimes`` entry points.

    With ``isolated`` it is opened and run in a child process with limits on memory and CPU time,
    until ``close``: if that process dies, opening or ``run`` raises CrashError. Tensors are copied
    between the processes, so that this is not for measuring times.

    Without ``runtime``, a ``.so`` runs on ``tvm``, a ``.tflite`` on ``litert`` and an ``.onnx`` on
    ``onnxruntime``. Raises ArtifactError or ModelError for what cannot be loaded, ConfigError for
    an unknown runtime and MissingDependencyError for one that is not installed.
    """
    name = runtime or runtime_for(Path(path))
    if isolated:
        from assay.runtimes.isolated import open_isolated

        return open_isolated(name, Path(path), threads)
    from assay.runtimes.registry import open_runtime

    return open_runtime(name, path, threads)


def runtime_for(path: Path) -> str:
    """Return the runtime that suits a file by its suffix; ModelError if none does."""
    by_suffix = {".so": "tvm", ".tflite": "litert", ".onnx": "onnxruntime"}
    if path.suffix not in by_suffix:
        raise ModelError(f"{path}: give a .so, .tflite or .onnx file, or name a runtime")
    return by_suffix[path.suffix]
