"""Compile a model to a library, or take the one that was compiled from the same before."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from assay.cache.key import ingredients
from assay.cache.store import CacheUnusable, Store, default_folder
from assay.compiler.artifact import Manifest, manifest_of, write_artifact
from assay.compiler.config import Config
from assay.errors import ArtifactError

_LIBRARY, _MANIFEST, _LOG = "model.so", "model.so.json", "build.log"


@dataclass(frozen=True)
class Compiled:
    """A library that was put in place.

    ``manifest.compile_s`` is what the compilation took when it was done; ``cached`` tells that it
    was not done now. ``problem`` says why the cache was of no use, if it was not.
    """

    manifest: Manifest
    log: tuple[str, ...]
    cached: bool = False
    problem: str | None = None


def compile_to(library: Path, model: Path, config: Config) -> Compiled:
    """Put the build of a model at ``library``, with its manifest, from the cache if it is there.

    Two builds have the same key only if all that can change one is the same (see
    :class:`assay.cache.key.Ingredients`). A cache that cannot be used is a ``problem`` and no
    error. Raises what :func:`assay.compile` and ``Build.save`` raise.
    """
    folder = default_folder()
    if folder is None:
        return _compile(library, model, config)
    store, key = Store(folder), ingredients(model, config).key
    try:
        files = store.get(key)
        if files is not None and (found := _restore(files, library, model.stem)) is not None:
            return found
    except CacheUnusable as unusable:
        return replace(_compile(library, model, config), problem=str(unusable))
    compiled = _compile(library, model, config)
    files = _files(library, compiled)
    if files is None:
        return compiled
    try:
        store.put(key, files)
    except CacheUnusable as unusable:
        return replace(compiled, problem=str(unusable))
    return compiled


def _compile(library: Path, model: Path, config: Config) -> Compiled:
    from assay.compiler.build import compile_model
    from assay.model.reader import read

    build = compile_model(read(model), config)
    return Compiled(build.save(library), build.log)


def _files(library: Path, compiled: Compiled) -> dict[str, bytes] | None:
    """Return an entry's files; None if another process has put its own build there since."""
    try:
        data = library.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(data).hexdigest() != compiled.manifest.library_sha256:
        return None
    manifest = json.dumps(asdict(compiled.manifest)).encode()
    return {_LIBRARY: data, _MANIFEST: manifest, _LOG: json.dumps(compiled.log).encode()}


def _restore(files: dict[str, bytes], library: Path, name: str) -> Compiled | None:
    """Write what an entry holds; None if it is not what this version of assay stores."""
    try:
        manifest = manifest_of(library, json.loads(files[_MANIFEST]))
        log = tuple(json.loads(files[_LOG]))
        data = files[_LIBRARY]
    except (ArtifactError, KeyError, TypeError, ValueError):
        return None
    manifest = replace(manifest, model_name=name)  # the same model may have another name now

    def describe(size: int, digest: str) -> Manifest:
        return replace(manifest, library_bytes=size, library_sha256=digest)

    def export(temporary: Path) -> bytes:
        temporary.write_bytes(data)
        return data

    written = write_artifact(library, export, describe)
    return Compiled(written, log, cached=True)
