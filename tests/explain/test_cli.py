"""``assay explain`` on a real build."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from assay.cli.main import app
from tests.compiler.remarks.networks import integer_network


def test_stock_int8_loses_to_plain_loops_and_floating_point(tmp_path):
    model, out = tmp_path / "model.tflite", tmp_path / "out.json"
    model.write_bytes(integer_network())
    command = ["explain", str(model), "--pipeline", "stock", "--verify", "--json", str(out)]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0
    assert "layout/nhwc-unscheduled" in done.output
    found = json.loads(out.read_text())
    costs = [remark["cost_ms"] or 0.0 for remark in found["remarks"]]
    assert costs == sorted(costs, reverse=True)
    assert all(remark["layer"] for remark in found["remarks"] if remark["cost_ms"])
    total = sum(costs) + found["unexplained_ms"] + found["outside_ms"]
    assert total == pytest.approx(found["difference_ms"])
    (tried,) = found["verified"]
    assert tried["config"]["pipeline"] == "assay"
    assert tried["achieved_ms"] == pytest.approx(tried["before_ms"] - tried["after_ms"])
    assert tried["profiled_ms"] == pytest.approx(found["build"]["total_ms"])
