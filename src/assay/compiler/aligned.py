"""Arrays that begin where TVM's kernels want their tensors to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

ALIGNMENT = 64
"""Bytes; that of a cache line and of the widest vector register."""


def aligned_zeros(shape: tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
    """Allocate an array of zeros at a multiple of ``ALIGNMENT``."""
    import numpy as np

    size = np.dtype(dtype).itemsize * int(np.prod(shape, dtype=np.int64))
    room = np.zeros(size + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + size].view(dtype).reshape(shape)
