"""The benchmark of agreement: what it finds on a small network, and the page of that."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from assay.data import DIGITS_INT8
from benchmarks.agreement_page import agrees, distance, page, verdict
from tests.docs.pages import ROOT

QUANTIZED = {"steps": {"0": 900, "1": 80, "3": 20}}


def known(precision="int8", xnnpack=QUANTIZED, **builds):
    return {"precision": precision, "macs": 1, "xnnpack": [xnnpack], "builds": builds}


def build(**output):
    return {"outputs": [output]}


def test_float_networks_keep_a_share_of_the_range():
    facts = known("fp32", {"largest": 1e-6, "range": 2.0})
    assert agrees(facts, build(largest=1e-4, range=1.0))
    far = build(largest=3e-4, range=2.0)
    assert not agrees(facts, far)
    assert verdict(facts, far) == "1.5e-04 - TOO FAR"


def test_dynamic_range_networks_are_held_against_xnnpack():
    facts = known("dynamic-range", {"largest": 0.1, "range": 1.0})
    assert agrees(facts, build(largest=0.09, range=1.0))
    assert not agrees(facts, build(largest=0.11, range=1.0))


def test_quantized_networks_are_held_against_xnnpack():
    facts = known()
    assert distance(facts["xnnpack"]) == "0.1400 (max 3)"
    assert agrees(facts, build(steps={"0": 0, "1": 1000}))  # a step each
    assert agrees(facts, build(steps={"0": 980, "7": 20}))  # the same mean
    assert not agrees(facts, build(steps={"0": 979, "7": 20, "2": 1}))


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The benchmark on the digit classifier, run twice: the second time nothing is left to do."""
    folder = tmp_path_factory.mktemp("agreement")
    shutil.copy(DIGITS_INT8, folder / "digits.tflite")
    command = [sys.executable, "-m", "benchmarks.agreement", "--shared", folder, "--levels", "3"]
    command += ["--models", "digits.tflite", "absent.tflite", "--layouts", "nhwc"]
    command += ["--json", folder / "found.json", "--page", folder / "page.md"]
    runs = [
        subprocess.run(map(str, command), cwd=ROOT, capture_output=True, text=True, check=False)
        for _ in range(2)
    ]
    return folder, runs


def test_it_compares_and_goes_on_where_it_ended(measured):
    folder, (first, second) = measured
    assert first.returncode == second.returncode == 0, first.stderr
    assert "digits 3:nhwc" in first.stdout
    assert "digits 3:nhwc" not in second.stdout
    found = json.loads((folder / "found.json").read_text())["models"]["digits"]
    (output,) = found["builds"]["3:nhwc"]["outputs"]
    assert sum(output["steps"].values()) == 20 * 10


def test_the_page_says_what_was_found(measured):
    folder, _ = measured
    text = (folder / "page.md").read_text()
    assert "All of the 1 builds of 1 networks below keep their bar." in text
    assert "| digits | NHWC | not run | not run | not run | 0." in text


def test_the_page_names_what_is_too_far_and_what_failed():
    far = build(steps={"0": 500, "2": 500})
    facts = known(**{"3:nhwc": far, "4:nchw": {"failure": "it died"}})
    machine = {"cpu": "a CPU", "flags": [], "os": "an OS", "python": "3"}
    text = page({"models": {"net": facts}, "machine": machine, "versions": {}})
    assert "Of 2 builds, 2 do not keep their bar" in text
    assert "- net, level 3, NHWC: 1.0000 (max 2) - TOO FAR" in text
    assert "- net, level 4, NCHW: failed: it died" in text


def test_the_page_tells_the_error_of_each():
    def error(largest):
        return {"error": {"largest": largest, "mean": 1e-6}}

    output = {"largest": 2e-4, "range": 1.0}
    facts = known("fp32", output, **{"3:nhwc": build(**output) | error(2e-5)})
    facts["error"] = {"reference": error(9e-5)["error"], "xnnpack": error(3e-5)["error"]}
    assert agrees(facts, build(**output) | error(9e-5))
    assert not agrees(facts, build(**output) | error(1e-4))
    machine = {"cpu": "a CPU", "flags": [], "os": "an OS", "python": "3"}
    text = page({"models": {"net": facts}, "machine": machine, "versions": {}})
    assert "| network | reference kernels | XNNPACK | level 3, NHWC |" in text
    assert "| net | 9.0e-05 (1.0e-06) | 3.0e-05 (1.0e-06) | 2.0e-05 (1.0e-06) |" in text
