"""The directory of results: made, kept to one run at a time, cleared of half-written files."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from assay.errors import ResultsError

# What ``replace_file`` calls its temporary files; a killed process cannot remove its own.
_LEFTOVERS = (
    ".results*.json.????????",
    ".report.md.????????",
    ".report.html.????????",
    ".*-metrics.md.????????",
    ".*-confusion-matrix.png.????????",
    ".*-difference-matrix.png.????????",
    ".*.so.????????",
    ".*.so.json.????????",
    "img/.*.png.????????",
)

# Directories for temporary files begin like this: a run that was killed leaves them here, where
# the next one finds them.
SCRATCH = ".assay-"


@contextmanager
def claim(path: Path) -> Iterator[None]:
    """Make the directory if needed and keep other runs out of it as long as the block runs.

    What a run that was killed left half-written is removed. ResultsError if the directory cannot
    be used or another run is using it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise ResultsError(
            f"{path}: no results can be written there ({error.strerror}); give another "
            "--results-path"
        ) from error
    try:
        _lock(handle, path)
        for pattern in _LEFTOVERS:
            for file in path.glob(pattern):
                file.unlink(missing_ok=True)
        for folder in path.glob(f"{SCRATCH}*"):
            shutil.rmtree(folder, ignore_errors=True)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, path: Path) -> None:
    """Lock the directory itself: that leaves no file and ends with the process, however it ends."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ResultsError(
            f"{path}: another run{_holder(handle)} is writing its results there; wait for it, or "
            "give another --results-path"
        ) from error
    except OSError:
        pass  # a file system without locks


def _holder(handle: int) -> str:
    """Return who holds the lock, for the middle of a sentence: see proc_locks(5). '' if unknown."""
    inode = os.fstat(handle).st_ino
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return ""
    for words in map(str.split, lines):
        # 1: FLOCK ADVISORY WRITE <process> <device>:<device>:<inode> 0 EOF; -> marks who waits
        if words[1] == "FLOCK" and words[5].endswith(f":{inode}") and int(words[4]) > 0:
            return f" (process {words[4]})"
    return ""
