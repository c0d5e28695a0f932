"""The constants of a library that has an ahead-of-time entry: behind its code, in the same file.

In the code they would be in memory three times while it loads: as pages of the file, as what the
virtual machine reads from there, and as the tensors that it makes of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.compiler.aligned import ALIGNMENT, aligned_zeros

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True)
class StoredConstant:
    """Where a constant lies in the data, in bytes from its start, and what it is."""

    offset: int
    shape: tuple[int, ...]
    dtype: str


def pack(arrays: Sequence[npt.NDArray[Any]]) -> tuple[npt.NDArray[Any], tuple[StoredConstant, ...]]:
    """Copy arrays into one of bytes, each where kernels want a tensor to begin."""
    import numpy as np

    stored: list[StoredConstant] = []
    for array in arrays:
        stored.append(StoredConstant(data_bytes(stored), array.shape, str(array.dtype)))
    data = aligned_zeros((data_bytes(stored),), "uint8")
    for array, place in zip(arrays, stored, strict=True):
        flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        data[place.offset : place.offset + array.nbytes] = flat
    return data, tuple(stored)


def unpack(
    data: npt.NDArray[Any], stored: Sequence[StoredConstant]
) -> tuple[npt.NDArray[Any], ...]:
    """Return the arrays in the data, which is not copied; ValueError if it is too short."""
    return tuple(
        data[each.offset : each.offset + _size(each)].view(each.dtype).reshape(each.shape)
        for each in stored
    )


def data_bytes(stored: Sequence[StoredConstant]) -> int:
    """Return the size of the data that holds these constants, the last of them being the last."""
    if not stored:
        return 0
    return stored[-1].offset + -(-_size(stored[-1]) // ALIGNMENT) * ALIGNMENT


def append(library: Path, data: npt.NDArray[Any]) -> None:
    """Write the data behind the code of a library."""
    with library.open("ab") as file:
        file.write(bytes(-file.tell() % ALIGNMENT))
        file.write(data.data)


def read_data(library: Path, size: int) -> npt.NDArray[Any]:
    """Return the last ``size`` bytes of a library, where kernels want tensors to begin."""
    data = aligned_zeros((size,), "uint8")
    with library.open("rb") as file:
        file.seek(library.stat().st_size - size)
        file.readinto(data.data)
    return data


def _size(constant: StoredConstant) -> int:
    import numpy as np

    return prod(constant.shape) * np.dtype(constant.dtype).itemsize
