"""Entries on disk: a directory each, written whole or not at all, checked when read.

An entry is ``KEY/`` with its files and ``sums.json``, the SHA-256 of each. It comes into being by
a rename, so that processes that write the same one at once do not disturb each other, and goes in
the same way. Its modification time is that of its last use.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

LIMIT_BYTES = 2 << 30
VARIABLE, OFF = "ASSAY_CACHE", "off"
_SUMS = "sums.json"
_TEMPORARY = ".tmp-"
_STALE_S = 3600.0  # writing an entry takes seconds: who left one this old was killed


class CacheUnusable(Exception):  # noqa: N818 - the build goes on without it
    """The cache cannot be used; the message says why, and names the directory."""


class Store:
    """A directory of entries, bounded in size: those used longest ago make room."""

    def __init__(self, folder: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes

    def get(self, key: str) -> dict[str, bytes] | None:
        """Return an entry's files; None if there is none. A damaged one is removed.

        Raises CacheUnusable if somebody else could have written it: what is in it will be run.
        """
        entry = self._folder / key
        if not entry.is_dir():
            return None
        _check_owner(self._folder)
        try:
            sums = json.loads((entry / _SUMS).read_bytes())
            files = {name: (entry / Path(name).name).read_bytes() for name in sums}
        except FileNotFoundError:
            if not entry.is_dir():  # evicted meanwhile
                return None
            files, sums = {}, None
        except (OSError, ValueError, TypeError):
            files, sums = {}, None
        if sums != {name: _digest(data) for name, data in files.items()} or not files:
            self._remove(entry)
            return None
        with suppress(OSError):  # evicted meanwhile, or a file system that is read-only
            os.utime(entry)
        return files

    def put(self, key: str, files: Mapping[str, bytes]) -> None:
        """Write an entry and make room for it; CacheUnusable if that fails, and nothing is left."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_owner(self._folder)
            self._sweep()
            temporary = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=self._folder))
        except OSError as error:
            raise self._unusable(error) from error
        try:
            for name, data in files.items():
                _write(temporary / name, data)
            sums = {name: _digest(data) for name, data in files.items()}
            _write(temporary / _SUMS, json.dumps(sums).encode())
            _flush(temporary)
            if not (self._folder / key).exists():  # else another process was faster
                temporary.rename(self._folder / key)
                _flush(self._folder)
        except OSError as error:
            if not (self._folder / key).is_dir():
                raise self._unusable(error) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        self._evict(key)

    def _unusable(self, error: OSError) -> CacheUnusable:
        return CacheUnusable(f"{self._folder} cannot be written ({error.strerror})")

    def _evict(self, newest: str) -> None:
        """Remove entries until all fit, those used longest ago first; ``newest`` stays."""
        entries = []
        for entry in self._folder.iterdir():
            try:
                if not entry.name.startswith(_TEMPORARY):
                    size = sum(file.stat().st_size for file in entry.iterdir())
                    entries.append((entry.stat().st_mtime_ns, entry, size))
            except OSError:
                continue  # somebody else evicted it
        total = sum(size for _, _, size in entries)
        for _, entry, size in sorted(entries):
            if total <= self._limit_bytes:
                return
            if entry.name != newest:
                self._remove(entry)
                total -= size

    def _remove(self, entry: Path) -> None:
        """Take an entry away in one step: a reader sees all of it or nothing."""
        try:
            grave = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=self._folder))
        except OSError:  # no room for another directory
            shutil.rmtree(entry, ignore_errors=True)
            return
        with suppress(OSError):  # another process was faster
            entry.rename(grave / entry.name)
        shutil.rmtree(grave, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove what killed processes left half-written."""
        for left in self._folder.glob(f"{_TEMPORARY}*"):
            try:
                if time.time() - left.stat().st_mtime > _STALE_S:
                    shutil.rmtree(left, ignore_errors=True)
            except OSError:
                continue


def default_folder() -> Path | None:
    """Return where builds are kept: ``ASSAY_CACHE``, or ``assay`` in the user's cache directory.

    None if ``ASSAY_CACHE`` is ``off``. See the XDG Base Directory Specification.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen == OFF:
        return None
    if chosen:
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "assay"  # noqa: PTH117


def _check_owner(folder: Path) -> None:
    found = folder.stat()
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o022:
        raise CacheUnusable(f"{folder} could have been written by another user")


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _flush(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
