"""``assay doctor`` prints its findings, with what to do about them."""

from __future__ import annotations

import json

from assay.cpu import cpu_model


def test_the_findings_and_their_json(assay, tmp_path):
    code, out, _ = assay("doctor", "--json", tmp_path / "doctor.json")
    document = json.loads((tmp_path / "doctor.json").read_text())
    assert code == (0 if document["usable"] else 1)
    assert document["usable"] is True  # else these tests would not run
    rows = {row["subject"]: row for row in document["rows"]}
    assert cpu_model() in rows["CPU"]["value"]
    assert set(rows["TVM"]) == {"subject", "status", "value", "fix", "optional"}
    assert all(subject in out for subject in ("CPU", "TVM", "Linker", "Cores"))


def test_a_json_file_that_cannot_be_written(refused):
    assert "cannot be written" in refused("doctor", "--json", "/proc/x")
