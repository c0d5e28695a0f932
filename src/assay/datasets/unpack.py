"""Unpack an archive that nobody vouches for: nothing leaves the directory, nothing half-done stays.

Only plain files and directories are accepted. Data sets hold nothing else, and refusing every link
means that no later member can be written through one.
"""

from __future__ import annotations

import gzip
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from assay.errors import DownloadError

# Several times what Oxford-IIIT Pet needs: 0.8 GB, 7,349 photographs and their annotations.
LIMIT_BYTES = 4 << 30
LIMIT_FILES = 200_000

# What a damaged archive makes gzip, tarfile and the file system raise.
_DAMAGE = (
    tarfile.TarError,
    zlib.error,
    gzip.BadGzipFile,
    EOFError,
    ValueError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
)


def unpack(
    archive: Path,
    folder: str,
    *,
    limit_bytes: int = LIMIT_BYTES,
    limit_files: int = LIMIT_FILES,
) -> None:
    """Unpack ``folder`` of a ``.tar.gz`` next to the archive; what else it holds is left out.

    The folder appears whole or not at all. Raises DownloadError for an archive that is damaged,
    lacks the folder, unpacks to more than the limits, or holds anything but files and directories
    below its own root; it is removed then, so that the next download fetches it anew.
    """
    scratch = archive.with_name(f".unpack-{folder}")
    try:
        shutil.rmtree(scratch, ignore_errors=True)  # of an attempt that was killed
        scratch.mkdir()
        _fill(scratch, archive, folder, limit_bytes, limit_files)
        (scratch / folder).rename(archive.with_name(folder))
    except DownloadError:
        raise
    except OSError as error:
        raise DownloadError(
            f"{archive}: cannot be unpacked ({error.strerror or error}); "
            "make room or check permissions, then call again"
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class _RefusedError(Exception):
    """The archive reads well but asks for something that no data set needs."""


def _fill(scratch: Path, archive: Path, folder: str, limit_bytes: int, limit_files: int) -> None:
    try:
        _extract(archive, scratch, limit_bytes, limit_files)
        if not (scratch / folder).is_dir():
            raise _RefusedError(f"it holds no folder {folder}/")
    except (_RefusedError, *_DAMAGE) as error:
        archive.unlink()
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DownloadError(
            f"{archive}: cannot be unpacked ({reason}) and has been removed; "
            "call again to download it anew"
        ) from error


def _extract(archive: Path, scratch: Path, limit_bytes: int, limit_files: int) -> None:
    with _BoundedGzip(archive, limit_bytes) as unzipped:
        with tarfile.open(fileobj=unzipped, mode="r|") as tar:
            for number, member in enumerate(tar, start=1):
                if number > limit_files:
                    raise _RefusedError(f"it holds more than {limit_files} files")
                target = _checked(member, scratch)
                if member.isdir():
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                source = tar.extractfile(member)
                assert source is not None  # a regular file has contents
                target.parent.mkdir(parents=True, exist_ok=True)
                with source, target.open("wb") as file:
                    shutil.copyfileobj(source, file)
        # The end of a tar comes before the end of its gzip stream, which holds the checksum.
        while unzipped.read(1 << 16):
            pass


class _BoundedGzip(gzip.GzipFile):
    """A reader that refuses to unpack more than ``limit`` bytes, tar's own headers included."""

    def __init__(self, path: Path, limit: int) -> None:
        super().__init__(path, "rb")
        self._limit = limit
        self._given = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self._given += len(data)
        if self._given > self._limit:
            raise _RefusedError(f"it unpacks to more than {self._limit} bytes")
        return data


def _checked(member: tarfile.TarInfo, root: Path) -> Path:
    """Return where a member belongs below ``root``; refuse one that belongs anywhere else."""
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise _RefusedError(f"{member.name!r} points outside of it")
    plain = member.isdir() or (member.isreg() and not member.issparse())
    if not plain:
        raise _RefusedError(f"{member.name!r} is neither a plain file nor a directory")
    if hasattr(tarfile, "data_filter"):  # from 3.10.12, 3.11.4 and 3.12 on
        tarfile.data_filter(member, str(root))
    return root / name
