"""The bytes of a model file, or one sentence on why there are none."""

from __future__ import annotations

import stat
from pathlib import Path

from assay.errors import ModelError
from assay.model.kinds import IDENTIFIER, guess_kind


def shown(path: Path) -> str:
    """Return a path as errors show it: on one line, whatever its name holds."""
    return str(path) if str(path).isprintable() else repr(str(path))


def load(path: Path) -> bytes:
    """Return the content of a file that says it is a TFLite model.

    Raises ModelError for a path without readable content, and for any other kind of file.
    """
    name = shown(path)
    data = content(path)
    if data[4:8] == IDENTIFIER:
        return data
    kind = guess_kind(data)
    if kind is None:
        raise ModelError(f"{name} is no TFLite model (no TFL3 identifier); give a .tflite file")
    raise ModelError(f"{name} is no TFLite model but looks like {kind[0]}; {kind[1]}")


def content(path: Path, suffix: str = ".tflite") -> bytes:
    """Return what a regular file holds, at least one byte; ModelError if it cannot be read."""
    name = shown(path)
    data = _read(path, name, suffix)
    if not data:
        raise ModelError(f"{name} is empty; fetch the file again")
    return data


def _read(path: Path, name: str, suffix: str) -> bytes:
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):  # reading a pipe or a device might never end
            return path.read_bytes()
    except FileNotFoundError as error:
        raise ModelError(f"{name} does not exist; give the path of a {suffix} file") from error
    except OSError as error:
        reason = error.strerror or "input/output error"
        raise ModelError(f"{name} cannot be read ({reason}); give a readable file") from error
    except MemoryError as error:
        raise ModelError(f"{name} does not fit into memory; give a smaller model") from error
    except ValueError as error:  # a null character in the path
        raise ModelError(f"{name} is no possible path; give the path of a {suffix} file") from error
    kind = "a directory" if stat.S_ISDIR(mode) else "no regular file"
    raise ModelError(f"{name} is {kind}; give the path of a {suffix} file")
