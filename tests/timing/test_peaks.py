"""Peaks of the machine, and what its profiling hook costs."""

from __future__ import annotations

import json
from dataclasses import asdict

from assay.timing.hook import HookMeter
from assay.timing.peaks import Peaks, peaks


def test_peaks_are_measured_once():
    found = peaks()
    assert min(found.gflops, found.gops8, found.l2_gbps, found.l3_gbps, found.memory_gbps) > 0
    assert peaks() == found  # measured twice, no two would be equal to the last digit
    assert Peaks(**json.loads(json.dumps(asdict(found)))) == found


def test_the_hook_costs_something():
    meter = HookMeter()
    meter.sample()
    cost = meter.cost()
    assert cost.of(8) > 0
    assert cost.of(8) >= cost.of(2)
