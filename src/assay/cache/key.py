"""What a build depends on, and the key that follows from it."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import assay
from assay.compiler.config import Config
from assay.compiler.tiles import tiles_offered
from assay.cpu import ROOT, cpu_identity
from assay.errors import ModelError

# Rooms whose code decides what a build is. Of the rest they import errors, files, and what the CPU
# is, which is an ingredient itself.
_ROOMS = ("compiler", "model")

PACKAGES = (
    *("assay", "apache-tvm", "apache-tvm-ffi", "ziglang"),  # compiler, code generator, linker
    *("tflite", "flatbuffers", "onnx", "protobuf", "numpy"),  # what reads and folds a model
)


@dataclass(frozen=True)
class Ingredients:
    """Everything that can change the bytes of a build, its manifest or its log.

    ``model_sha256`` covers the file and, of an ONNX model, the external data. ``machine`` is the
    processor with its features, and whether the kernel hands out its tiles: what ``native`` and a
    target without a triple resolve to follows from it and from TVM's version, so that no target
    has to be resolved to find a build. ``source_sha256`` covers the compiler's own code, which a
    development checkout changes without a new version.
    """

    model_sha256: str
    config: Config
    machine: Mapping[str, str]
    source_sha256: str
    versions: Mapping[str, str]

    @property
    def key(self) -> str:
        """The SHA-256 of all of it, in hexadecimal digits."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def ingredients(model: Path, config: Config) -> Ingredients:
    """Collect what a build of a model would depend on, here and now.

    ModelError if the model cannot be read. A ``.tflite`` file is hashed and not parsed: if a build
    of these bytes exists, they have been checked before.
    """
    return Ingredients(
        model_sha256=hash_model(model),
        config=config,
        machine=machine(),
        source_sha256=hash_source(),
        versions=versions(),
    )


def hash_model(path: Path) -> str:
    """Return the SHA-256 of a model's content: the one in :class:`assay.model.facts.Model`."""
    if path.suffix != ".tflite":
        from assay.model.reader import read

        return read(path).sha256
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError, MemoryError):
        from assay.model.source import content

        content(path)  # says why not
        raise ModelError(f"{path} cannot be read; give a readable file") from None


def hash_source(package: Path | None = None) -> str:
    """Return the SHA-256 of the names and contents of the compiler's files."""
    root = Path(assay.__file__).parent if package is None else package
    digest = hashlib.sha256()
    for room in _ROOMS:
        for file in sorted((root / room).rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                data = file.read_bytes()
                digest.update(f"{file.relative_to(root)}\0{len(data)}\0".encode())
                digest.update(data)
    return digest.hexdigest()


def machine(root: Path = ROOT) -> dict[str, str]:
    """Return what tells one kind of processor from another, and the Python that compiles."""
    return {
        "arch": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        **cpu_identity(root),
        "tiles": str(tiles_offered(root)),
    }


def versions() -> dict[str, str]:
    """Return the versions of the packages that take part in a build; empty text if not there."""
    return {name: _version(name) for name in PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
