"""Times of layers: what is stored, what remarks cost by them, and two builds side by side."""

from __future__ import annotations

from dataclasses import replace

import pytest

from assay.compiler.kernel_calls import KernelCall
from assay.compiler.kernel_calls import Layer as Operator
from assay.compiler.remarks.remark import Remark
from assay.lab.layers import layer_times, priced
from assay.lab.layerwise import compare_layers
from assay.timing.profile import KernelTime, Profile
from tests.lab.measured import kernel, layer, measured, times

CONV = layer(0, "CONV_2D", 100)
POOL = layer(1, "MEAN")
DENSE = layer(2, "FULLY_CONNECTED", 10)


def titles(found):
    return [(each.title, each.subject.ms, each.reference.ms) for each in found]


def test_a_profile_is_stored_with_each_operator_once():
    conv = Operator(3, "CONV_2D", "c", (1, 2), 64)
    calls = [
        KernelCall("pack", (), (conv,), (), (), (), (), 8, 8),
        KernelCall("conv", (conv,), (), (), (), (), (), 16, 4),
    ]
    kernels = tuple(KernelTime(call, 2.0, 1.0, 3.0) for call in calls)
    found = layer_times(Profile("m", "tvm", 1, 18, kernels, 4.5, 0.01))
    assert [(each.operator, each.op, each.shape, each.macs) for each in found.layers] == [
        (3, "CONV_2D", [1, 2], 64)
    ]
    assert [(k.layers, k.serves, k.bytes_moved) for k in found.kernels] == [
        ([], [3], 16),
        ([3], [], 20),
    ]
    assert (found.runs, found.total_ms, found.hook_ms) == (18, 4.5, 0.01)
    assert found.gap_ms == pytest.approx(0.5)


def test_layers_that_share_a_kernel_in_either_build_are_compared_together():
    fused = measured(
        "tvm-a", 1.0, layer_times=times([CONV, POOL, DENSE], kernel(3, [0, 1]), kernel(1, [2]))
    )
    apart = measured(
        "tvm-b",
        1.0,
        layer_times=times(
            [CONV, POOL, DENSE],
            kernel(0.5, [], [0]),
            kernel(2, [0]),
            kernel(1, [1]),
            kernel(2, [2]),
        ),
    )
    found = compare_layers(fused, apart)
    assert titles(found) == [("CONV_2D + MEAN 1x1", 3, 3.5), ("FULLY_CONNECTED 1x2", 1, 2)]
    assert [each.reference.kernels for each in found] == [(0, 1, 2), (3,)]


def test_every_kernel_is_in_one_group():
    one = measured("tvm-a", 1.0, layer_times=times([CONV], kernel(3, [0]), kernel(1, [])))
    found = compare_layers(one, one)
    assert titles(found) == [("conversions", 1, 1), ("CONV_2D 1x0", 3, 3)]


def test_an_int8_file_has_other_operators_at_its_ends():
    fp32 = measured("tvm-a", 1.0, layer_times=times([CONV, POOL], kernel(3, [0]), kernel(1, [1])))
    ends = [
        layer(0, "QUANTIZE"),
        replace(layer(1, "CONV_2D", 100), shape=CONV.shape),
        replace(layer(2, "MEAN"), shape=POOL.shape),
        layer(3, "DEQUANTIZE"),
    ]
    int8 = measured(
        "tvm-int8",
        1.0,
        model={"name": "int8.tflite", "sha256": "cd" * 32},
        layer_times=times(
            ends, kernel(0.1, [0]), kernel(1, [1]), kernel(0.5, [2]), kernel(0.2, [3])
        ),
    )
    assert titles(compare_layers(int8, fp32)) == [
        ("QUANTIZE 1x0", 0.1, 0),
        ("CONV_2D 1x0", 1, 3),
        ("MEAN 1x1", 0.5, 1),
        ("DEQUANTIZE 1x3", 0.2, 0),
    ]
    assert [each[1:] for each in titles(compare_layers(fp32, int8))] == [
        (0, 0.1),
        (3, 1),
        (1, 0.5),
        (0, 0.2),
    ]


def test_a_runtime_without_times_of_layers_has_nothing_to_compare():
    build = measured("tvm-a", 1.0, layer_times=times([CONV], kernel(3, [0])))
    assert compare_layers(build, measured("tflite-fp32", 1.0)) == []


LOOPS = Remark("schedule/none", "conv2d runs as plain loops", calls=(0,))
POOLS = Remark("schedule/untiled", "mean runs as plain loops", calls=(1,))


def build(name, conv_ms, pool_ms, **fields):
    known = {
        "layer_times": times([CONV, POOL], kernel(conv_ms, [0]), kernel(pool_ms, [1])),
        "remarks": [],
        "resolved_target": "llvm",
    }
    return measured(name, 1.0, **{**known, **fields})


def test_remarks_cost_what_the_build_takes_more_than_the_best_for_its_target():
    slow = build("tvm-slow", 9, 2, remarks=[POOLS.as_dict(), LOOPS.as_dict()])
    elsewhere = build("tvm-avx2", 0.1, 0.1, resolved_target="llvm -mcpu=core-avx2")
    other = build("tvm-int8", 0.1, 0.1, model={"name": "i.tflite", "sha256": "cd" * 32})
    found, best, *_ = priced([slow, build("tvm-best", 1, 0.5), elsewhere, other])
    assert found.costs_against == "tvm-best"
    costs = [(remark["id"], remark["cost_ms"]) for remark in found.remarks]
    assert costs == [(LOOPS.id, pytest.approx(8)), (POOLS.id, pytest.approx(1.5))]
    assert best.costs_against is None
    assert priced([found, best])[0] == found


def test_costs_of_an_earlier_run_do_not_stay():
    slow = build("tvm-slow", 9, 2, remarks=[LOOPS.as_dict()])
    found = priced([slow, build("tvm-best", 1, 0.5)])[0]
    alone = priced([found])[0]
    assert alone.remarks[0]["cost_ms"] is None
    assert alone.costs_against is None


def test_what_was_not_profiled_is_left_as_it_is():
    litert = measured("tflite-fp32", 1.0)
    assert priced([litert, build("tvm-best", 1, 1)])[0] is litert
