"""What is said to have changed is what was changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from assay.diff.changes import Change, diff, kind
from assay.diff.sides import open_side
from assay.errors import ConfigError
from assay.lab.store import save
from tests.lab.measured import kernel, layer, measured, measured_results, times

CONV = layer(0, "CONV_2D", 100)
DENSE = layer(1, "FULLY_CONNECTED", 10)


def named(symbol, each):
    return replace(each, symbol=symbol)


def remark(id_, evidence, cost=None):
    return {"id": id_, "evidence": evidence, "why": "", "advice": "", "cost_ms": cost}


BEFORE = measured(
    "tvm-before",
    4.0,
    wrong=60,
    config={"layout": "nchw", "opt_level": 2},
    resolved_target='{"kind": "llvm", "mcpu": "znver4"}',
    library_sha256="aa",
    remarks=[
        *[remark("layout/transpose-around-op", "permute_dims", 0.5)] * 2,
        *[remark("schedule/untiled", "loops", 0.25)] * 2,
    ],
    layer_times=times(
        [CONV, DENSE],
        named("transpose", kernel(1.0, [], [0])),
        named("transpose1", kernel(0.5, [], [0])),
        named("conv2d", kernel(2.0, [0])),
        named("fused_matmul_add3", kernel(0.5, [1])),
    ),
)
AFTER = measured(
    "tvm-after",
    2.0,
    wrong=10,
    config={"layout": "nhwc", "opt_level": 3},
    resolved_target='{"kind": "llvm", "mcpu": "znver4"}',
    library_sha256="bb",
    remarks=[remark("schedule/untiled", "loops"), remark("fusion/missed", "add")],
    layer_times=times(
        [CONV, DENSE],
        named("direct_0", kernel(1.5, [0])),
        named("dense_1", kernel(0.5, [1])),
    ),
)


@pytest.fixture
def file(tmp_path):
    save(measured_results(BEFORE, AFTER, measured("tflite-fp32", 3.0)), tmp_path / "results.json")
    return tmp_path / "results.json"


@pytest.fixture
def found(file):
    return diff(open_side(f"{file}:tvm-before"), open_side(f"{file.parent}:tvm-after"))


def test_choices_that_differ_are_listed_and_no_others(found):
    assert found.built == (
        Change("config layout", "nchw", "nhwc"),
        Change("config opt_level", 2, 3),
    )


def test_kernels_are_counted_by_kind(found):
    assert set(found.ir) == {
        Change("kernel calls", 4, 2),
        Change("transposes", 2, 0),
        Change("conversions", 2, 0),
        Change("kernel transpose", 2, 0),
        Change("kernel conv2d", 1, 0),
        Change("kernel matmul + add", 1, 0),
        Change("kernel direct", 0, 1),
        Change("kernel dense", 0, 1),
    }


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [("int8_conv2d_12", "int8_conv2d"), ("winograd_3", "winograd"), ("transpose14", "transpose")],
)
def test_a_kind_is_a_kernels_name_without_its_number(symbol, expected):
    assert kind(symbol) == expected


def test_remarks_that_are_gone_come_first(found):
    assert [(r.how, r.id, r.a, r.b, r.a_ms, r.b_ms) for r in found.remarks] == [
        ("gone", "layout/transpose-around-op", 2, 0, 1.0, None),
        ("fewer", "schedule/untiled", 2, 1, 0.5, None),
        ("appeared", "fusion/missed", 0, 1, None, None),
    ]


def test_layers_are_those_of_the_report(found):
    rows = [(g.title, g.reference.ms, g.subject.ms) for g in found.layers.groups]
    assert rows == [("CONV_2D 1x0", 3.5, 1.5), ("FULLY_CONNECTED 1x1", 0.5, 0.5)]
    assert found.layers.totals == (2.0, 4.0)


def test_speed_accuracy_and_size_come_with_their_verdicts(found):
    assert found.pair.speed.verdict == "faster"
    assert found.pair.speed.ratio == pytest.approx(0.5, rel=0.02)
    assert found.pair.accuracy.measurable
    assert found.pair.accuracy.difference == pytest.approx(0.25)
    assert found.pair.size_ratio == 1.0
    assert found.numbers[0].accuracy.low < 0.7 < found.numbers[0].accuracy.high
    assert found.notes == ()


def test_nothing_changed_between_an_experiment_and_itself(file):
    side = open_side(f"{file}:tvm-after")
    same = diff(side, side)
    assert (same.built, same.ir, same.remarks) == ((), (), ())
    assert same.pair.accuracy.p_value == 1.0
    assert same.pair.identical


def test_another_runtime_has_no_kernels_to_count(file):
    found = diff(open_side(f"{file}:tflite-fp32"), open_side(f"{file}:tvm-after"))
    assert Change("kernel calls", None, 2) in found.ir
    assert Change("runtime", "litert", "tvm") in found.built
    assert found.layers is None
    assert found.remarks == ()


def test_two_runs_are_compared_with_a_note(file, tmp_path):
    other = tmp_path / "other.json"
    save(measured_results(replace(AFTER, name="tvm-before")), other)
    found = diff(open_side(f"{file}:tvm-before"), open_side(str(other)))
    assert found.pair.speed.verdict == "faster"
    assert found.pair.accuracy.measurable
    (note,) = found.notes
    assert "separate runs" in note


def test_what_was_measured_elsewhere_or_on_other_data_is_not_compared(file, tmp_path):
    other = tmp_path / "other.json"
    run = measured_results(AFTER)
    machine = {**run.machine, "cpu": "Another"}
    save(replace(run, machine=machine, dataset={**run.dataset, "sha256": "ef" * 32}), other)
    found = diff(open_side(f"{file}:tvm-before"), open_side(str(other)))
    assert found.pair.speed is None
    assert found.pair.accuracy is None
    assert len(found.notes) == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "name one as"),
        (":nothing", "no experiment 'nothing': name one of tvm-before, tvm-after, tflite-fp32"),
    ],
)
def test_an_experiment_has_to_be_named(file, name, message):
    with pytest.raises(ConfigError, match=message):
        open_side(f"{file}{name}")


def test_one_that_was_skipped_is_no_side(tmp_path):
    skipped = replace(AFTER, name="tvm-x", status="skipped", reason="no avx512f here")
    save(measured_results(BEFORE, replace(skipped, quality=None, timing=None)), tmp_path / "r.json")
    with pytest.raises(ConfigError, match=r"was skipped \(no avx512f here\): name one of tvm-bef"):
        open_side(f"{tmp_path / 'r.json'}:tvm-x")
