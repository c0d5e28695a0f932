"""Entries of the cache: whole or absent, checked, bounded, and safe between processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from assay.cache.store import CacheUnusable, Store, default_folder
from tests.disk import fill

FILES = {"model.so": b"code" * 100, "build.log": b"[]"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "cache"


def test_what_was_put_is_found(folder):
    store = Store(folder)
    assert store.get("a") is None
    store.put("a", FILES)
    store.put("a", FILES)
    assert store.get("a") == FILES
    assert store.get("b") is None
    assert folder.stat().st_mode & 0o777 == 0o700


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["model.so", "build.log", "sums.json"])
@pytest.mark.parametrize(
    "damage", [flip, Path.unlink, lambda path: path.write_bytes(b""), lambda p: os.truncate(p, 1)]
)
def test_a_damaged_entry_is_dropped(folder, name, damage):
    store = Store(folder)
    store.put("a", FILES)
    damage(folder / "a" / name)
    assert store.get("a") is None
    assert list(folder.iterdir()) == []
    store.put("a", FILES)
    assert store.get("a") == FILES


def test_sums_that_name_files_elsewhere_bring_nothing(folder):
    store = Store(folder)
    store.put("a", FILES)
    (folder / "a/sums.json").write_text('{"../../secret": "0"}')
    assert store.get("a") is None


def test_the_entries_used_longest_ago_make_room(folder):
    store = Store(folder, limit_bytes=2000)
    for age, name in enumerate("abc"):
        store.put(name, FILES)
        os.utime(folder / name, (1e9 + age, 1e9 + age))
    assert store.get("a") == FILES
    store.put("d", {"model.so": bytes(900)})
    assert {entry.name for entry in folder.iterdir()} == {"a", "d"}


def test_one_that_is_larger_than_the_bound_is_kept_alone(folder):
    store = Store(folder, limit_bytes=1000)
    store.put("a", FILES)
    store.put("b", {"model.so": bytes(5000)})
    assert {entry.name for entry in folder.iterdir()} == {"b"}


def test_leftovers_of_killed_processes_are_removed_in_time(folder):
    store = Store(folder)
    store.put("a", FILES)
    for name, age in ((".tmp-old", 4000), (".tmp-new", 10)):
        (folder / name).mkdir()
        (folder / name / "model.so").write_bytes(b"half")
        then = (folder / name).stat().st_mtime - age
        os.utime(folder / name, (then, then))
    store.put("b", FILES)
    assert {entry.name for entry in folder.iterdir()} == {"a", "b", ".tmp-new"}


def test_a_folder_that_others_can_write_is_not_trusted(folder):
    store = Store(folder)
    store.put("a", FILES)
    folder.chmod(0o777)
    with pytest.raises(CacheUnusable, match="another user"):
        store.get("a")
    with pytest.raises(CacheUnusable, match="another user"):
        store.put("b", FILES)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CacheUnusable, match="cannot be written"):
        Store(tmp_path / "file" / "cache").put("a", FILES)


@pytest.mark.parametrize("leave", [0, 4096, 300_000])
def test_a_full_disk_leaves_no_half_of_an_entry(small_disk, leave):
    store = Store(small_disk / "cache")
    store.put("a", FILES)
    fill(small_disk, leave)
    with pytest.raises(CacheUnusable, match="No space left on device"):
        store.put("b", {"model.so": bytes(1_500_000)})
    assert [entry.name for entry in (small_disk / "cache").iterdir()] == ["a"]
    assert store.get("a") == FILES
    assert store.get("b") is None


WRITER = """
import sys
from pathlib import Path
from assay.cache.store import Store
store = Store(Path(sys.argv[1]), limit_bytes=300_000)
for turn in range(60):
    key = str(turn % 7)
    files = {"model.so": key.encode() * 50_000, "build.log": b"[]"}
    found = store.get(key)
    assert found in (None, files), key
    store.put(key, files)
"""


def test_processes_at_once_see_whole_entries(folder):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    for writer in writers:
        assert writer.communicate(timeout=120)[1] == b""
    assert not [entry for entry in folder.iterdir() if entry.name.startswith(".tmp-")]


@pytest.mark.parametrize(
    ("chosen", "xdg", "expected"),
    [
        ("/x/y", "/z", "/x/y"),
        ("", "/z", "/z/assay"),
        (None, "relative", "~/.cache/assay"),
        (None, "", "~/.cache/assay"),
        ("off", "/z", None),
    ],
)
def test_where_it_is(monkeypatch, chosen, xdg, expected):
    monkeypatch.delenv("ASSAY_CACHE")
    if chosen is not None:
        monkeypatch.setenv("ASSAY_CACHE", chosen)
    monkeypatch.setenv("XDG_CACHE_HOME", xdg)
    assert default_folder() == (None if expected is None else Path(expected).expanduser())
