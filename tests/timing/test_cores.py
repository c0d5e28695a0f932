"""Lists of cores, and which ones a measurement takes unasked."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from assay.errors import ConfigError
from assay.timing import cores
from assay.timing.cores import choose_cores, parse_cores


@pytest.fixture
def usable(monkeypatch):
    """A machine of eight usable cores."""
    monkeypatch.setattr(cores, "usable_core_numbers", lambda: tuple(range(8)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", (0,)), ("0,1", (0, 1)), ("3, 1", (1, 3)), ("2-4,0", (0, 2, 3, 4)), ("1,1", (1,))],
)
def test_lists(usable, text, expected):
    assert parse_cores(text) == expected


@pytest.mark.parametrize("text", ["", "a", "1,", "-1", "1-", "1-b", "0x1", "1;2", "\u00b2"])
def test_what_is_no_list_is_refused(usable, text):
    with pytest.raises(ConfigError, match="is no list of cores"):
        parse_cores(text)


@pytest.mark.parametrize("text", ["8", "0,99", "6-9", "3-2"])
def test_cores_that_are_not_there_are_refused(usable, text):
    with pytest.raises(ConfigError, match="there are 0, 1, 2, 3, 4, 5, 6, 7"):
        parse_cores(text)


def siblings(root, *groups):
    for group in groups:
        for core in group:
            folder = root / f"sys/devices/system/cpu/cpu{core}/topology"
            folder.mkdir(parents=True)
            (folder / "thread_siblings_list").write_text(",".join(map(str, group)) + "\n")


@pytest.mark.parametrize(
    ("threads", "expected"),
    [(1, (7,)), (2, (6, 7)), (4, (4, 5, 6, 7)), (5, (3, 4, 5, 6, 7)), (20, tuple(range(8)))],
)
def test_physical_cores_come_before_hyper_threads(usable, tmp_path, threads, expected):
    siblings(tmp_path, (0, 4), (1, 5), (2, 6), (3, 7))
    assert choose_cores(threads, tmp_path) == expected


def test_hyper_threads_as_a_range(usable, tmp_path):
    for core in range(8):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{core}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{core // 2 * 2}-{core // 2 * 2 + 1}\n")
    assert choose_cores(3, tmp_path) == (3, 5, 7)


def test_an_unknown_topology_counts_as_physical_cores(usable, tmp_path):
    assert choose_cores(2, tmp_path) == (6, 7)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_pinning_holds_for_threads_started_later():
    core = max(os.sched_getaffinity(0))
    script = (
        "import os, sys, threading; from assay.timing.cores import pin; "
        f"assert pin(({core},)); seen = []; "
        "t = threading.Thread(target=lambda: seen.append(os.sched_getaffinity(0))); "
        f"t.start(); t.join(); sys.exit(seen != [{{{core}}}])"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_nothing_to_pin_to_pins_nothing():
    assert not cores.pin(())
