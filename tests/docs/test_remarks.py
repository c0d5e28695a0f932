"""The examples in docs/remarks.md say what they show."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

import assay
from assay.compiler.remarks.catalogue import RULES
from assay.compiler.remarks.rule import DYNAMIC, FP32, INT8
from assay.compiler.remarks.rules import bandwidth_bound, no_effect, oversubscribed
from assay.explain.measured import no_effect_remarks
from assay.explain.quality import quality_remarks
from assay.runtimes.tvm import open_compiled
from tests.compiler.remarks.networks import dynamic_network, float_network, integer_network
from tests.docs.pages import DOCS, blocks
from tests.docs.test_log import pattern

MODELS = {FP32: float_network, INT8: integer_network, DYNAMIC: dynamic_network}

every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)


@lru_cache
def logged(model, config):
    """The log of a build, its machine's numbers and names left out."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / model
        path.write_bytes(MODELS[model]())
        return {anywhere(line) for line in assay.compile(path, **config.as_dict()).log}


def anywhere(line):
    return re.sub(r"\([a-z]\w+\)|\d[\d.e%-]*", "#", line)


@every_rule
def test_the_evidence_is_of_its_rules_form(rule):
    assert any(re.fullmatch(pattern(line), rule.example.evidence) for line in rule.lines)


@every_rule
def test_the_page_shows_it(rule):
    text = (DOCS / "remarks.md").read_text().partition(f"\n## {rule.id}\n")[2].partition("\n## ")[0]
    (command,) = blocks(text, "shell")
    assert rule.example.model in command
    assert rule.example.evidence in text


@pytest.mark.parametrize(
    "rule", [r for r in RULES if r.example.explain is None], ids=lambda rule: rule.id
)
def test_compiling_logs_it(rule):
    line = f"[{rule.id.partition('/')[0]}] {rule.example.evidence}"
    assert anywhere(line) in logged(rule.example.model, rule.example.config)


def test_levels_of_the_stock_pipeline_are_the_same(tmp_path):
    example = no_effect.RULE.example
    path = tmp_path / example.model
    path.write_bytes(MODELS[example.model]())
    (found,) = no_effect_remarks(assay.read(path), example.config)
    assert found.evidence == example.evidence


@pytest.mark.parametrize("name", ["first-divergence", "saturation"])
def test_data_shows_it(name, tmp_path):
    (rule,) = (rule for rule in RULES if rule.id == f"quality/{name}")
    path = tmp_path / rule.example.model
    path.write_bytes(MODELS[rule.example.model]())
    build = open_compiled(path, rule.example.config)
    rng = np.random.default_rng(0)
    real = rng.normal(size=(1, 12, 12, 3))
    value = real.astype(np.float32)
    if build.inputs[0].dtype == "int8":
        value = np.clip(np.round(20 * real), -128, 127).astype(np.int8)
    told = [r.evidence for r in quality_remarks(assay.read(path), build, [(value,)])]
    assert anywhere(rule.example.evidence) in map(anywhere, told)


def test_the_others_need_a_machine_and_have_tests_of_their_own():
    """tests/explain/test_measured.py provokes them with numbers that it chooses."""
    covered = {no_effect.RULE.id, "quality/first-divergence", "quality/saturation"}
    measured = {rule.id for rule in RULES if rule.example.explain is not None}
    assert measured - covered == {bandwidth_bound.RULE.id, oversubscribed.RULE.id}
