"""``assay profile``: a table and JSON, from a model and from a saved library."""

from __future__ import annotations

import json

from assay.cli.rows import layer_name
from assay.data import DIGITS_FP32
from tests.compiler.digits import built


def test_a_library_is_profiled_without_its_model(assay, tmp_path):
    build = built("fp32")
    build.save(tmp_path / "net.so")
    code, out, _ = assay(
        "profile", tmp_path / "net.so", "--sort", "time", "--json", tmp_path / "p.json"
    )
    assert code == 0
    assert "sum of kernels" in out
    kernels = json.loads((tmp_path / "p.json").read_text())["kernels"]
    symbols = [each["call"]["symbol"] for each in kernels]
    assert symbols == [each.symbol for each in build.manifest.kernels]
    for each in kernels:  # each whole, on a line of its own
        layer = layer_name(each["call"]["layers"][-1]["name"])
        assert any(each["call"]["symbol"] in line and layer in line for line in out.splitlines())


def test_an_unknown_order_is_refused(assay):
    code, _, err = assay("profile", DIGITS_FP32, "--sort", "size")
    assert code == 2
    assert "neither order nor time" in err
