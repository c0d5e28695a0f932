"""A compiled library on disk: ``model.so`` and, beside it, the manifest ``model.so.json``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from assay.compiler.kernel_calls import KernelCall
from assay.compiler.needs import Needs
from assay.compiler.remarks.remark import Remark
from assay.compiler.stored_constants import StoredConstant
from assay.errors import ArtifactError
from assay.files import replace_file
from assay.model.spec import TensorSpec

SCHEMA_VERSION = 4
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class Manifest:
    """What a library is, what it was made of, and what a loader has to check.

    ``inputs`` and ``outputs`` are the model's, in its order. ``resolved_target`` is TVM's JSON form
    with ``native`` replaced. ``needs`` is what a machine has to have to run the code: what the
    target has, and its host where that is another. Sizes in bytes.
    ``kernels`` are all calls of one inference, in order.
    ``remarks`` are what the compiler found about the build.
    ``arena_bytes`` is what the ahead-of-time entry needs for temporary tensors; None where the
    library has no such entry and runs on the virtual machine. ``constants`` lie behind the code of
    a library with an entry, at the end of the file, and are parameters of ``main`` after the
    inputs.
    """

    model_name: str
    model_sha256: str
    model_bytes: int
    config: dict[str, Any]
    resolved_target: str
    resolved_layout: str
    needs: tuple[Needs, ...]
    versions: dict[str, str]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    compile_s: float
    weights_bytes: int
    arena_bytes: int | None = None
    constants: tuple[StoredConstant, ...] = ()
    kernels: tuple[KernelCall, ...] = ()
    remarks: tuple[Remark, ...] = ()
    library_bytes: int = 0
    library_sha256: str = ""
    schema: int = SCHEMA_VERSION


def manifest_path(library: Path) -> Path:
    """Return where the manifest of a library lies."""
    return library.with_name(library.name + ".json")


def write_artifact(
    library: Path, export: Callable[[Path], bytes | None], describe: Callable[[int, str], Manifest]
) -> Manifest:
    """Export to a temporary name, then put library and manifest in place, the manifest last.

    ``export`` may return what it wrote, else that is read back. A loader refuses a library whose
    hash is not the manifest's, so an interruption between the two leaves either the old pair or a
    pair that is noticed. ArtifactError if the path cannot be written.
    """
    try:
        with replace_file(library) as temporary:
            data = export(temporary) or temporary.read_bytes()
            manifest = describe(len(data), hashlib.sha256(data).hexdigest())
        with replace_file(manifest_path(library)) as temporary:
            temporary.write_text(json.dumps(asdict(manifest), indent=2) + "\n")
    except OSError as error:
        raise ArtifactError(
            f"{library}: cannot be written ({error.strerror}); give -o a path in a writable "
            "directory"
        ) from error
    return manifest


def read_artifact(library: Path) -> Manifest:
    """Read and check the manifest of a library; ArtifactError says what does not fit."""
    path = manifest_path(library)
    if not library.is_file():
        raise ArtifactError(f"{library}: no such compiled library; make it with assay compile")
    try:
        fields = json.loads(path.read_text())
        schema = fields["schema"]
    except FileNotFoundError as error:
        raise ArtifactError(
            f"{library}: its manifest {path.name} is missing; keep both files together"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path}: not a manifest of assay; compile the model again") from error
    if schema != SCHEMA_VERSION:
        raise ArtifactError(f"{path}: schema {schema} is not {SCHEMA_VERSION}; compile again")
    manifest = manifest_of(path, fields)
    if _digest(library) != manifest.library_sha256:
        raise ArtifactError(f"{library}: does not match its manifest; compile the model again")
    return manifest


def _digest(path: Path) -> str:
    """Hash a file piece by piece: a library is as large as the weights of its model."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def manifest_of(path: Path, fields: dict[str, Any]) -> Manifest:
    """Return a manifest from its JSON; ArtifactError, naming ``path``, if it is none."""
    try:
        for side in ("inputs", "outputs"):
            fields[side] = tuple(map(TensorSpec.from_dict, fields[side]))
        fields["needs"] = tuple(Needs(n["arch"], tuple(n["features"])) for n in fields["needs"])
        fields["constants"] = tuple(
            StoredConstant(c["offset"], tuple(c["shape"]), c["dtype"]) for c in fields["constants"]
        )
        fields["kernels"] = tuple(map(KernelCall.from_dict, fields["kernels"]))
        fields["remarks"] = tuple(map(Remark.from_dict, fields["remarks"]))
        return Manifest(**fields)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: damaged; compile the model again") from error
