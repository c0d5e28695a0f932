"""Memory moves to huge pages with its contents, and only where it fills them."""

from __future__ import annotations

import ctypes
import mmap
import platform
import sys
from pathlib import Path

import numpy as np
import pytest

from assay.data import DIGITS_FP32
from assay.runtimes.huge_pages import filled_pages, use_huge_pages
from assay.runtimes.tvm import open_tvm

SETTINGS = Path("sys/kernel/mm/transparent_hugepage")


def huge_bytes(address: int) -> int:
    """What the kernel says of the mapping that holds an address."""
    found = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first, _, rest = line.partition(" ")
        if "-" in first:
            low, high = (int(end, 16) for end in first.split("-"))
            found = low <= address < high
        elif found and first == "AnonHugePages:":
            return int(rest.split()[0]) * 1024
    raise AssertionError(f"{address:#x} is not mapped")


def test_pages_count_that_are_filled_by_half():
    assert filled_pages([(0, 100)], 100) == [0]
    assert filled_pages([(50, 100)], 100) == [0, 100]
    assert filled_pages([(51, 98)], 100) == []
    assert filled_pages([(110, 30), (150, 20), (901, 49)], 100) == [100]
    assert filled_pages([(260, 490)], 100) == [300, 400, 500, 600, 700]
    assert filled_pages([], 100) == []


def test_memory_moves_with_its_contents():
    if sys.platform != "linux" or not (Path("/") / SETTINGS).exists():
        pytest.skip("this system has no transparent huge pages")
    if tuple(map(int, platform.release().split(".")[:2])) < (6, 1):
        pytest.skip("Linux before 6.1 does not move memory to huge pages at once")
    if "[never]" in (Path("/") / SETTINGS / "enabled").read_text():
        pytest.skip("this system is set to use no huge pages")
    size = int((Path("/") / SETTINGS / "hpage_pmd_size").read_text())
    with mmap.mmap(-1, 4 * size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        data = np.random.default_rng(0).integers(0, 256, 4 * size, np.uint8)
        memory[:] = data.tobytes()
        address = ctypes.addressof(view := ctypes.c_char.from_buffer(memory))
        assert huge_bytes(address) == 0
        memory.madvise(mmap.MADV_HUGEPAGE)
        assert use_huge_pages([(address, 4 * size)]) >= 3, "it may begin and end inside a page"
        assert huge_bytes(address) >= 3 * size
        assert memory[:] == data.tobytes()
        del view


def test_who_forbids_huge_pages_gets_none(tmp_path):
    settings = tmp_path / SETTINGS
    assert use_huge_pages([(0, 1 << 40)], tmp_path) == 0, "no such settings"
    settings.mkdir(parents=True)
    (settings / "enabled").write_text("always madvise [never]\n")
    (settings / "hpage_pmd_size").write_text("2097152\n")
    assert use_huge_pages([(0, 1 << 40)], tmp_path) == 0


def test_a_runtime_asks_for_weights_and_temporaries(monkeypatch):
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr("assay.runtimes.tvm.use_huge_pages", lambda spans: asked.extend(spans))
    runtime = open_tvm(DIGITS_FP32)
    arena = runtime.manifest.arena_bytes
    assert arena
    assert sum(size for _, size in asked) >= runtime.manifest.weights_bytes + arena
