"""Huge pages for the memory that an inference goes through: weights and temporary tensors.

On pages of 4 KiB each page is a translation to look up, a place where the processor stops to read
ahead, and, as cores index their second-level cache by physical address, a matter of luck which data
compete in it. Linux 6.1 and later put memory that is in use on huge pages when asked.
"""

from __future__ import annotations

import ctypes
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from assay.cpu import ROOT

_SETTINGS = "sys/kernel/mm/transparent_hugepage"
_MADV_COLLAPSE = 25  # asm-generic/mman-common.h; madvise(2)
_LEAST_SHARE = 0.5  # of a huge page: the kernel adds what is missing, so that memory could double


def use_huge_pages(spans: Iterable[tuple[int, int]], root: Path = ROOT) -> int:
    """Move memory, as (address, bytes), to huge pages in place; return how many there were.

    Contents and addresses stay. Where the system has no huge pages, has none left, or its settings
    under ``root`` say never to use them, nothing happens.
    """
    size = _huge_page_bytes(root)
    if size == 0:
        return 0
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return sum(madvise(start, size, _MADV_COLLAPSE) == 0 for start in filled_pages(spans, size))


def filled_pages(spans: Iterable[tuple[int, int]], size: int) -> list[int]:
    """Return the addresses of the pages of ``size`` bytes that spans fill at least half of."""
    filled: Counter[int] = Counter()
    for start, length in spans:
        for page in range(start // size, -(-(start + length) // size)):
            filled[page] += min(start + length, (page + 1) * size) - max(start, page * size)
    return sorted(page * size for page, count in filled.items() if count >= _LEAST_SHARE * size)


def _huge_page_bytes(root: Path) -> int:
    """Return the size of a huge page, 0 if none are to be used."""
    settings = root / _SETTINGS
    try:
        allowed = "[never]" not in (settings / "enabled").read_text()
        size = int((settings / "hpage_pmd_size").read_text())
    except (OSError, ValueError):
        return 0
    return size if allowed and sys.platform == "linux" else 0
