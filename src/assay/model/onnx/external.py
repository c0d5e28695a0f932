"""Weights that an ONNX file keeps in other files of its folder."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from assay.model.damage import Damage, shortened

_BESIDE = "put the files of weights beside the model, as it was exported"


class Beside:
    """Takes external data into tensors; reads nothing outside of the folder.

    ``size_bytes`` counts what was read; ``digest`` is updated with it.
    """

    def __init__(self, folder: Path, digest: Any) -> None:
        self._folder = folder.resolve()
        self._digest = digest
        self.size_bytes = 0

    def take_in(self, tensor: Any) -> None:
        """Give a tensor its values, if they lie in another file; Damage if they cannot."""
        if tensor.data_location != tensor.EXTERNAL:
            return
        what = f"tensor {shortened(tensor.name)}"
        entries = {entry.key: entry.value for entry in tensor.external_data}
        path = self._path(entries.get("location", ""), what)
        offset, length = (_number(entries.get(key), what) for key in ("offset", "length"))
        size = path.stat().st_size
        start = offset or 0
        expected = _bytes_of(tensor, what)
        count = size - start if length is None else length
        if count != expected or start + count > size:
            raise Damage(
                f"{what} needs {expected} bytes at {start}, which {shortened(path.name)} of "
                f"{size} bytes does not hold",
                _BESIDE,
            )
        try:
            with path.open("rb") as file:
                file.seek(start)
                tensor.raw_data = file.read(count)
        except OSError as error:
            raise Damage(f"{shortened(path.name)} cannot be read", _BESIDE) from error
        self._digest.update(tensor.raw_data)
        self.size_bytes += count
        tensor.data_location = tensor.DEFAULT
        del tensor.external_data[:]

    def _path(self, location: str, what: str) -> Path:
        """Return the file, links followed; what they lead to has to lie in the folder as well."""
        try:
            path = (self._folder / location).resolve()
            inside = bool(location) and path.is_relative_to(self._folder)
            there = inside and path.is_file()
        except (OSError, ValueError, RuntimeError):  # a name too long, a null, a loop of links
            inside = there = False
        if not inside:
            raise Damage(f"{what} lies at {shortened(location)}, outside of the folder", _BESIDE)
        if not there:
            raise Damage(f"{what} lies in {shortened(location)}, which is no file", _BESIDE)
        return path


def _number(text: str | None, what: str) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise Damage(f"{what} has an offset or length that is no number")
    return int(text)


def _bytes_of(tensor: Any, what: str) -> int:
    """Return how many bytes the type and shape take; narrow integers are packed."""
    from onnx import helper

    try:
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    except (KeyError, ValueError, TypeError) as error:
        raise Damage(f"{what} has an unknown type") from error
    if dtype.kind == "O" or any(size < 0 for size in tensor.dims):
        raise Damage(f"{what} has no type and shape that external data can have")
    elements = math.prod(tensor.dims)
    narrow = {"int4": 4, "uint4": 4, "int2": 2, "uint2": 2, "float4_e2m1fn": 4}
    return int(elements * narrow.get(dtype.name, dtype.itemsize * 8) + 7) // 8
