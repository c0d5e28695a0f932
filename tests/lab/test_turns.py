"""Experiments take turns as often as asked for, unless slow builds make that too long."""

from __future__ import annotations

from dataclasses import replace

import pytest

from assay.lab.inputs import Lab
from assay.lab.turns import bounded, cover
from tests.lab.measured import measured, measured_results


@pytest.fixture
def lab(tmp_path):
    return Lab(models={}, dataset="", results_path=tmp_path, experiments=())


def test_fast_experiments_take_all_turns(lab):
    assert bounded(lab, [measured("a", 10.0), measured("b", 20.0)]) == (10, 60)
    assert bounded(lab, []) == (10, 60)


def test_slow_ones_take_fewer_but_never_too_few(lab):
    run = [measured(f"e{i}", 10.0) for i in range(16)]
    launches, rounds = bounded(lab, run)
    assert 5 <= launches < 10
    assert 20 <= rounds < 60
    assert bounded(lab, [*run, *(measured(f"s{i}", 5e3) for i in range(4))]) == (5, 20)
    assert bounded(replace(lab, launches=3, rounds=6), [measured("s", 1e6)]) == (3, 6)


def test_turns_that_were_bounded_hold_in_a_later_call(lab):
    results = measured_results(measured("a", 2e6), measured("b", 2e6))
    assert not cover(results.turns, lab, results.experiments)
    turns = replace(results.turns, launches=5, rounds=20)
    assert cover(turns, lab, results.experiments)
