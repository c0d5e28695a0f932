"""Remarks from times, threads and a second build: provoked, and not where there is nothing."""

from __future__ import annotations

import pytest

import assay
from assay.compiler.config import Config
from assay.compiler.kernel_calls import KernelCall, Layer
from assay.compiler.remarks.rules.oversubscribed import remarks_on
from assay.data import DIGITS_FP32
from assay.explain.measured import bandwidth_remarks, no_effect_remarks
from assay.timing.peaks import Peaks
from assay.timing.profile import KernelTime, Profile
from assay.timing.roofline import roof_of

PEAKS = Peaks("cpu", 1, 100.0, 400.0, 80.0, 40.0, 10.0, l2_bytes=1000, l3_bytes=10_000_000)


def kernel(ms, moved, macs=0):
    layers = (Layer(0, "FULLY_CONNECTED", "dense", (1,), macs),)
    call = KernelCall("k", layers, (), ((1,),), ("float32",), ((1,),), ("float32",), moved, 0)
    return KernelTime(call, ms, ms, ms)


def remarks(*kernels):
    total = sum(each.median_ms for each in kernels)
    return list(bandwidth_remarks(Profile("m", "tvm", 1, 1, kernels, total, 0.0), PEAKS))


def test_a_kernel_at_the_memory_roof_is_named():
    (found,) = remarks(kernel(2.5, 20_000_000, 1000))  # 8 of 10 GB/s
    assert found.evidence.startswith("FULLY_CONNECTED moves 80% of the bytes a second that memory")
    assert (found.layer, found.calls) == ("dense", (0,))


def test_one_that_computes_or_dawdles_is_not():
    assert remarks(kernel(10.0, 20_000_000, 500_000_000)) == []  # 100 GFLOP/s
    assert remarks(kernel(25.0, 20_000_000)) == []  # 0.8 of 10 GB/s


def test_the_roof_is_the_lower_one_at_the_level_that_holds_the_bytes():
    roof = roof_of(kernel(1.0, 4_000_000, 1000), PEAKS)
    assert (roof.bound, roof.level, roof.share) == ("memory", "L3", pytest.approx(0.1))
    assert roof_of(kernel(1.0, 800, 25_000_000), PEAKS).share == pytest.approx(0.5)


def test_threads():
    assert [r.evidence for r in remarks_on(4, 2, 4)] == ["4 threads on 2 usable cores"]
    assert [r.evidence for r in remarks_on(2, 2, 1)] == ["1 of 2 threads did work"]
    assert list(remarks_on(2, 2, 2)) == list(remarks_on(2, 2, None)) == []


def test_stock_levels_are_the_same_and_ours_are_not():
    model = assay.read(DIGITS_FP32)
    (found,) = no_effect_remarks(model, Config(pipeline="stock", opt_level=3))
    assert found.evidence == "opt levels 2 and 3 compile to the same IR"
    assert list(no_effect_remarks(model, Config(opt_level=3))) == []
