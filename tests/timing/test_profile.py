"""Profiles: kernels in the library's order, times that fit the whole, and JSON that comes back."""

from __future__ import annotations

import json

import pytest

from assay.compiler.kernel_calls import KernelCall, Layer
from assay.runtimes.tvm import open_build
from assay.timing.profile import KernelTime, Profile, class_sums
from assay.timing.profiler import profile_tvm
from tests.compiler.digits import built


def kernel_time(op: str, ms: float, macs: int = 0, moved: int = 0) -> KernelTime:
    layers = (Layer(0, op, "layer", (1, 2), macs),)
    call = KernelCall("kernel", layers, (), ((1, 2),), ("int8",), ((1, 2),), ("int8",), moved, 0)
    return KernelTime(call, ms, ms, ms)


def test_rates_and_gap():
    kernels = (kernel_time("CONV_2D", 2.0, 3_000_000, 8_000_000), kernel_time("ADD", 1.0))
    profile = Profile("net", "tvm", 1, 5, kernels, total_ms=4.0, hook_ms=0.001)
    assert kernels[0].gops == pytest.approx(3.0)  # 6e6 operations in 2 ms
    assert kernels[0].gbps == pytest.approx(4.0)
    assert (profile.kernels_ms, profile.gap_ms) == (3.0, 1.0)
    assert profile.share(kernels[0]) == 0.5


def test_classes_sum_up_the_longest_first():
    sums = class_sums([kernel_time("ADD", 1.0), kernel_time("CONV_2D", 2.0, 7)] * 2)
    assert [(each.title, each.count, each.ms, each.macs) for each in sums] == [
        ("CONV_2D", 2, 4.0, 14),
        ("ADD", 2, 2.0, 0),
    ]


def test_profile_of_a_build():
    runtime = open_build(built("fp32"))
    profile = profile_tvm(runtime, rounds=2)
    assert tuple(each.call for each in profile.kernels) == runtime.manifest.kernels
    assert all(each.p10_ms <= each.median_ms <= each.p90_ms for each in profile.kernels)
    assert profile.kernels_ms > 0
    assert profile.gap_ms == pytest.approx(profile.total_ms - profile.kernels_ms)
    assert Profile.from_dict(json.loads(json.dumps(profile.as_dict()))) == profile
