"""The page of numbers, from stored comparisons."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict, replace

import pytest

from assay.timing.record import Settings
from assay.timing.store import encode
from benchmarks import peers
from benchmarks.footprint import footprint_rows
from benchmarks.performance import (
    Ratio,
    geometric_mean,
    nchw_rows,
    page,
    ratio_to_fastest_peer,
    rows,
)
from tests.timing.benches import bench, outcome


def stored(model="digits", threads=1, failed=(), **times):
    """A comparison as the file holds it; times in ms by label, spaces as underscores."""
    outcomes = []
    for label, ms in times.items():
        made = outcome(label.replace("_", " "), [ms] * 3, [ms] * 3)
        made = replace(made, contender=replace(made.contender, model=model))
        if label in failed:
            made = replace(
                made, status="failed", reason="it is too large", launches=[], spread=None
            )
        outcomes.append(made)
    return json.loads(encode(asdict(bench(*outcomes, settings=Settings(threads=threads)))))


FAST = {"assay_O3": 2.0, "assay_O4": 1.0, "litert": 4.0, "openvino": 3.0}
BOTH_LAYOUTS = {
    "assay_O3": 2.0,
    "assay_O4": 1.0,
    "assay_O3_NCHW": 2.5,
    "assay_O4_NCHW": 1.5,
    "litert": 4.0,
    "openvino": 3.0,
}


def test_the_fastest_peer_over_the_build():
    found = ratio_to_fastest_peer(stored(**FAST), "assay O3")
    assert (found.subject, round(found.ratio, 9)) == ("openvino", 1.5)


def test_a_build_or_peers_that_failed_have_no_ratio():
    assert ratio_to_fastest_peer(stored(failed=["assay_O3"], **FAST), "assay O3") is None
    assert ratio_to_fastest_peer(stored(failed=["litert", "openvino"], **FAST), "assay O3") is None
    left = ratio_to_fastest_peer(stored(failed=["openvino"], **FAST), "assay O4")
    assert (left.subject, round(left.ratio, 9)) == ("litert", 4)


def test_the_geometric_mean_and_its_noise():
    found = geometric_mean([Ratio("", 2, 1, 4), Ratio("", 8, 4, 16)])
    assert found.ratio == pytest.approx(4)
    assert math.log(found.high / 4) == pytest.approx(math.log(2) * math.sqrt(2) / 2)
    assert math.log(4 / found.low) == pytest.approx(math.log(2) * math.sqrt(2) / 2)


def test_rows():
    heading, digits, other, mean = rows(
        [stored(**FAST), stored("pets", failed=["assay_O4"], **FAST)]
    )
    assert heading[-2:] == ["fastest peer / assay O3", "fastest peer / assay O4"]
    assert digits[:5] == ["digits", "4.000", "3.000", "2.000", "1.000"]
    assert digits[5:] == ["1.50 [1.50, 1.50]", "3.00 [3.00, 3.00]"]
    assert other[4] == other[6] == "-"
    assert mean[-2:] == ["1.50 [1.50, 1.50] of 2", "3.00 [3.00, 3.00] of 1"]


def test_rows_of_builds_in_nchw():
    both = stored(**BOTH_LAYOUTS)
    heading, digits, _ = nchw_rows([stored("pets", **FAST), both])
    assert heading[3:5] == ["fastest peer / assay O3 NCHW", "fastest peer / assay O4 NCHW"]
    assert heading[5:] == ["assay O3 NCHW / assay O3", "assay O4 NCHW / assay O4"]
    assert digits[:3] == ["digits", "2.500", "1.500"]
    assert [cell[:4] for cell in digits[3:]] == ["1.20", "2.00", "1.25", "1.50"]
    assert nchw_rows([stored(**FAST)]) == []


def test_memory_and_sizes():
    heading, digits, pets = footprint_rows(
        [
            sized(stored(**FAST), litert=(50e6, 4e6), assay_O3=(40e6, 5e6)),
            stored("pets", failed=["assay_O3"], **FAST),
        ]
    )
    assert heading[1:4] == ["litert MB", "openvino MB", "assay O3 MB"]
    assert digits[0] == "digits"
    assert (digits[1], digits[3]) == ("50.0", "40.0")
    assert digits[4:] == ["4.000", "5.000", "1.25"]
    assert (pets[0], pets[3], pets[5], pets[6]) == ("pets", "-", "-", "-")


def sized(comparison, **sizes):
    """Give contenders their peak of memory and the size of their file, in bytes."""
    for each in comparison["outcomes"]:
        label = each["contender"]["label"].replace(" ", "_")
        for launch in each["launches"] if label in sizes else ():
            launch["costs"]["first_peak_bytes"], launch["costs"]["file_bytes"] = sizes[label]
    return comparison


@pytest.fixture
def found():
    return {
        "benches": [
            stored(**FAST),
            stored("pets", failed=["assay_O4"], **FAST),
            stored(threads=2, **FAST),
        ],
        "failures": [{"model": "broken", "reason": "it is damaged"}],
    }


def test_the_page(found):
    text = page(found)
    assert text.count("## Memory and size") == 1
    assert text.index("## 1 thread\n") < text.index("| pets |") < text.index("## 2 threads\n")
    assert "- broken: it is damaged\n" in text
    assert "- pets, assay O4: it is too large\n" in text
    assert "- CPU: A CPU, 4 cores (avx2 fma)\n" in text
    assert "- Date: 2030-01-02\n" in text
    assert "- 1 thread: 10 launches of each contender, " in text
    assert "- 2 threads: 10 launches of each contender, " in text
    assert text.endswith("- Warnings: none\n")


def test_the_page_has_a_table_of_nchw_only_where_such_builds_were_timed(found):
    assert "### Layout NCHW" not in page(found)
    found["benches"].append(stored("other", threads=2, **BOTH_LAYOUTS))
    text = page(found)
    assert text.count("### Layout NCHW") == 1
    assert text.index("## 2 threads\n") < text.index("### Layout NCHW")


def test_the_page_can_be_written_again_from_the_stored_file(found, tmp_path, monkeypatch, capsys):
    (tmp_path / "peers.json").write_text(encode(found))
    arguments = ["--from-json", tmp_path / "peers.json", "--page", tmp_path / "performance.md"]
    monkeypatch.setattr(sys, "argv", ["peers", *map(str, arguments)])
    peers.main()
    assert (tmp_path / "performance.md").read_text() == page(found)
    assert "not timed: broken: it is damaged" in capsys.readouterr().out


def test_models_that_are_absent_are_named_and_skipped(tmp_path):
    options = peers.parse(
        ["--shared", str(tmp_path), "--json", str(tmp_path / "p.json"), "--models", "a.tflite"]
    )
    expected = {
        "benches": [],
        "failures": [{"model": "a.tflite", "reason": "the file is not there"}],
    }
    assert peers.run(options) == expected
    assert json.loads((tmp_path / "p.json").read_text()) == expected
    assert "a.tflite: the file is not there" in page(expected)
