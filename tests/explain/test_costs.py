"""Costs add up to the difference of two builds, and none is counted twice."""

from __future__ import annotations

import pytest

from assay.compiler.kernel_calls import KernelCall, Layer
from assay.compiler.remarks.remark import Remark
from assay.explain.costs import share_out
from assay.timing.profile import KernelTime, Profile


def layer(operator, macs=0):
    return Layer(operator, "CONV_2D" if macs else "ADD", f"layer{operator}", (1,), macs)


def kernel(ms, layers=(), serves=()):
    call = KernelCall("k", tuple(layers), tuple(serves), (), (), (), (), 0, 0)
    return KernelTime(call, ms, ms, ms)


def profile(*kernels, gap=0.0):
    total = sum(each.median_ms for each in kernels) + gap
    return Profile("m", "tvm", 1, 1, kernels, total, 0.0)


CONV = layer(0, 100)
ADD = layer(1)
BEST = profile(kernel(1.0, [CONV, ADD]), gap=0.1)
TRANSPOSE = Remark("layout/transpose-around-op", "transpose", calls=(0,))
LOOPS = Remark("schedule/untiled", "loops", calls=(1,))
FLOAT = Remark("precision/float-in-int8", "float", calls=(1,))


def by_id(costs):
    return {remark.id: remark.cost_ms for remark in costs.remarks}


def test_each_kernels_excess_goes_to_the_remark_about_it():
    build = profile(kernel(2.0, serves=[CONV]), kernel(4.0, [CONV]), kernel(0.5, [ADD]), gap=0.3)
    costs = share_out([LOOPS, TRANSPOSE], build, BEST)
    assert by_id(costs) == pytest.approx({LOOPS.id: 3.0, TRANSPOSE.id: 2.0})
    assert [remark.id for remark in costs.remarks] == [LOOPS.id, TRANSPOSE.id]
    assert costs.unexplained_ms == pytest.approx(0.5)
    assert costs.outside_ms == pytest.approx(0.2)


def test_costs_add_up_to_the_difference():
    build = profile(kernel(2.0, serves=[CONV]), kernel(4.0, [CONV]), kernel(0.5, [ADD]), gap=0.3)
    between = profile(kernel(0.4, serves=[CONV]), kernel(3.0, [CONV, ADD]))
    for middle in (None, between):
        costs = share_out([FLOAT, TRANSPOSE, LOOPS], build, BEST, middle)
        total = costs.remarks_ms + costs.unexplained_ms + costs.outside_ms
        assert total == pytest.approx(costs.difference_ms)


def test_floating_point_is_told_from_the_other_causes():
    build = profile(kernel(2.0, serves=[CONV]), kernel(4.0, [CONV, ADD]))
    between = profile(kernel(0.4, serves=[CONV]), kernel(3.0, [CONV, ADD]))
    costs = by_id(share_out([FLOAT, TRANSPOSE, LOOPS], build, BEST, between))
    assert costs == pytest.approx({FLOAT.id: 3.4 - 1.0, TRANSPOSE.id: 1.6, LOOPS.id: 1.0})


def test_two_remarks_about_one_call_are_not_paid_twice():
    other = Remark("schedule/none", "the same loops", calls=(1,))
    build = profile(kernel(2.0, serves=[CONV]), kernel(4.0, [CONV, ADD]))
    costs = by_id(share_out([LOOPS, other], build, BEST))
    assert costs == {LOOPS.id: pytest.approx(3.0), other.id: None}


def test_the_best_build_loses_nothing():
    costs = share_out([], BEST, BEST)
    assert costs.difference_ms == costs.unexplained_ms == costs.outside_ms == 0
