"""``assay diff`` of two libraries, and of results, as a user types it."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

import assay
from assay.cli.main import app
from assay.lab.store import save
from tests.compiler.remarks.networks import float_network
from tests.diff.test_changes import AFTER, BEFORE
from tests.lab.measured import measured_results


def run(*words):
    return CliRunner().invoke(app, ["diff", *map(str, words)], catch_exceptions=False)


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    folder = tmp_path_factory.mktemp("libraries")
    model = folder / "model.tflite"
    model.write_bytes(float_network())
    paths = folder / "before.so", folder / "after.so"
    assay.compile(model, pipeline="stock").save(paths[0])
    assay.compile(model).save(paths[1])
    return paths


def test_two_libraries_are_compared_by_their_manifests_and_profiled(libraries, tmp_path):
    out = tmp_path / "diff.json"
    done = run(*libraries, "--profile", "--json", out)
    assert done.exit_code == 0
    found = json.loads(out.read_text())
    assert {"what": "config pipeline", "a": "stock", "b": "assay"} in found["built"]
    gone = {remark["id"] for remark in found["remarks"] if remark["how"] == "gone"}
    assert "layout/nhwc-unscheduled" in gone
    (convolution,) = (row for row in found["layers"] if row["title"].startswith("CONV_2D"))
    assert convolution["a_ms"] > 0 < convolution["b_ms"]
    assert found["accuracy"] is None
    assert found["speed"] is None
    assert "time by layer" in done.output


def test_without_profile_a_library_has_no_times(libraries):
    done = run(*libraries)
    assert done.exit_code == 0
    assert "time by layer" not in done.output
    assert "There are no times to compare." in done.output


def test_results_show_every_section(tmp_path):
    save(measured_results(BEFORE, AFTER), tmp_path / "results.json")
    done = run(f"{tmp_path}:tvm-before", f"{tmp_path}:tvm-after")
    for part in ("config layout", "transposes", "fusion/missed", "CONV_2D 1x0", "times as fast"):
        assert part in done.output
    assert "tvm-after is more accurate than tvm-before" in done.output
