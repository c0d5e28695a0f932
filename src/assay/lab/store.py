"""Reading and writing ``results.json``; whatever fails, the file that was there stays as it was."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from assay.errors import ResultsError
from assay.files import replace_file
from assay.lab.codec import decode, encode
from assay.lab.results import Results


def save(results: Results, path: str | os.PathLike[str]) -> None:
    """Write ``results`` to ``path`` in one step, making its directory if needed.

    ResultsError if the path cannot be written, or if ``load`` would refuse the outcome.
    """
    text = encode(results)
    try:
        decode(text)
    except ValueError as error:
        raise ResultsError(f"{path} was not written, as {error}; correct the results") from error
    write_text(path, text)


def load(path: str | os.PathLike[str]) -> Results:
    """Read and check the results at ``path``; ResultsError says why they cannot be used."""
    try:
        return decode(Path(path).read_bytes().decode("utf-8"))
    except FileNotFoundError as error:
        raise ResultsError(
            f"{path} does not exist: run the experiments first, or name another results file"
        ) from error
    except IsADirectoryError as error:
        raise ResultsError(f"{path} is a directory: name the results file in it") from error
    except OSError as error:
        raise ResultsError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError among them
        why = " ".join(str(error).split())
        raise ResultsError(
            f"{path} does not hold results that can be used: {why}; move the file away and run "
            "the experiments again"
        ) from error


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 text as ``write_atomically`` does.

    Bytes of a command line that are no UTF-8 (lone surrogates in Python) are written as escapes.
    """
    write_atomically(path, text.encode("utf-8", "backslashreplace"))


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Put ``data`` at ``path`` so that readers see the old file or the new one, never a part.

    The data is on the disk before the name changes hands (write, fsync, rename). A symbolic link
    stays one: the file it points to is replaced. ResultsError if any of it fails.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.is_dir():
            raise IsADirectoryError(None, "it is a directory")
        target.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(target) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise ResultsError(
            f"{path} cannot be written ({error.strerror}): choose another path, or make room there"
        ) from error


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise ResultsError unless ``write_atomically`` could write there now; nothing is left behind.

    Asked before long work, so that its outcome is not lost for a mistyped path.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.is_dir():
            raise IsADirectoryError(None, "it is a directory")
        existing = next(parent for parent in target.parents if parent.exists())
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise ResultsError(
            f"{path} cannot be written ({error.strerror}): choose another path, or make room there"
        ) from error
