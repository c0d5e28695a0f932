"""Comparisons as files."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from assay.errors import ResultsError
from assay.timing.record import Caution, Contender, Outcome
from assay.timing.store import load_earlier, save
from tests.timing.benches import bench, outcome


@pytest.fixture
def stored(tmp_path):
    failed = Outcome(Contender("gone", "digits", "litert", tmp_path), "failed", "it died")
    found = bench(
        outcome("assay O3", [1.0, 2.0], [3.0]), outcome("litert", [4.0, 5.0], [6.0]), failed
    )
    found = replace(found, audit=replace(found.audit, warnings=(Caution("x", "do y"),)))
    path = tmp_path / "new/found.json"
    save(found, path)
    return path


def test_the_file_is_json_with_every_raw_sample(stored):
    document = json.loads(stored.read_text())
    assert document["schema"] == 1
    assert document["audit"]["warnings"] == [{"id": "x", "message": "do y", "contender": None}]
    first = document["outcomes"][0]
    assert first["launches"][1]["rounds"][0]["samples_ns"] == [2_700_000, 3_000_000, 15_000_000]
    assert first["contender"]["config"]["opt_level"] == 3
    assert document["outcomes"][2]["reason"] == "it died"
    (pair,) = document["comparisons"]
    assert (pair["subject"], pair["reference"]) == ("litert", "assay O3")


def test_a_round_is_on_one_line(stored):
    assert '"samples_ns": [900000, 1000000, 5000000]' in stored.read_text()


def test_what_a_gate_needs_is_read_back(stored):
    earlier = load_earlier(stored)
    assert (earlier.cpu, earlier.threads) == ("A CPU", 1)
    assert earlier.contenders.keys() == {"assay O3", "litert"}
    assert earlier.contenders["litert"].values_ms == [[4.0, 5.0], [6.0]]
    assert earlier.contenders["litert"].model_sha256 == "s"


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "1", "{}", '{"schema": 1}', '{"schema": 1, "outcomes": [{}], "audit": {}}'],
)
def test_other_files_are_refused(tmp_path, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ResultsError, match=r"other\.json is no comparison"):
        load_earlier(path)


@pytest.mark.parametrize("samples", [[], [0, 0, 0], ["a"], None])
def test_samples_that_cannot_be_are_refused(stored, samples):
    document = json.loads(stored.read_text())
    document["outcomes"][0]["launches"][0]["rounds"][0]["samples_ns"] = samples
    stored.write_text(json.dumps(document))
    with pytest.raises(ResultsError, match="no comparison"):
        load_earlier(stored)


def test_another_version_is_refused(stored):
    document = json.loads(stored.read_text())
    stored.write_text(json.dumps({**document, "schema": 2}))
    with pytest.raises(ResultsError, match="schema 2, not 1"):
        load_earlier(stored)


def test_an_absent_file_is_refused(tmp_path):
    with pytest.raises(ResultsError, match="cannot be read"):
        load_earlier(tmp_path / "absent.json")
