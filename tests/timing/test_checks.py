"""Each reason to doubt a measurement, and none where there is none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from assay.timing.checks import cautions
from assay.timing.record import Settings
from tests.timing.benches import MACHINE, USE, audit, launch, outcome

FINE = [1.0] * 15


def ids(*outcomes, settings=None, **conditions):
    found = cautions(audit(**conditions), settings or Settings(), outcomes)
    return [(each.id, each.contender) for each in found]


def used(**fields):
    """A contender whose second launch was unlike the first."""
    other = launch(FINE, use=replace(USE, **fields))
    return outcome("x", FINE, FINE, launches=[launch(FINE), other])


def test_nothing_to_say():
    assert ids(outcome("x", FINE, FINE), outcome("y", FINE, FINE)) == []


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"load_start": 2.1}, "load-average"),
        ({"other_share": 0.06}, "others-ran"),
        ({"stolen_share": 0.02}, "time-stolen"),
        ({"machine": {**MACHINE, "governor": "powersave"}}, "governor"),
        ({"machine": {**MACHINE, "quota_cores": 0.5}}, "quota"),
        ({"cores": (), "pinned": False}, "not-pinned"),
    ],
)
def test_conditions(conditions, expected):
    assert ids(**conditions) == [(expected, None)]


@pytest.mark.parametrize(
    "conditions",
    [
        {"load_start": 1.9},
        {"other_share": 0.04, "stolen_share": 0.0},
        {"other_share": None, "stolen_share": None},
        {"machine": {**MACHINE, "governor": None}},
        {"machine": {**MACHINE, "quota_cores": 1.0}},
        {"load_end": 40.0},
    ],
)
def test_conditions_that_are_no_reason(conditions):
    assert ids(**conditions) == []


def test_threads_without_a_core_each():
    assert ids(threads=2) == [("cores-shared", None)]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (Settings(launches=4), ["few-launches"]),
        (Settings(launches=5, rounds=19), ["few-rounds"]),
        (Settings(launches=5, rounds=20), []),
    ],
)
def test_settings(settings, expected):
    assert [name for name, _ in ids(settings=settings)] == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"threads_used": 2}, "more-threads"),
        ({"cores": (0, 1)}, "left-cores"),
        ({"idle_share": 0.03}, "not-idle"),
        ({"waited_share": 0.2}, "waited"),
    ],
)
def test_use(fields, expected):
    assert ids(used(**fields)) == [(expected, "x")]


def test_fewer_threads_than_asked():
    assert ids(used(), threads=2, cores=(0, 1)) == [("fewer-threads", "x")]


def test_threads_that_cannot_be_counted_are_not_judged():
    unknown = outcome(
        "x", FINE, launches=[launch(FINE, use=replace(USE, threads_used=0, cores=()))]
    )
    assert ids(unknown) == []


def test_waiting_is_the_fault_of_others_if_there_are_any():
    assert ids(used(waited_share=0.9), other_share=0.3) == [("others-ran", None)]


def test_warm_up_without_end():
    launches = [launch(FINE), launch(FINE, steady=False)]
    (found,) = cautions(audit(), Settings(), [outcome("x", FINE, FINE, launches=launches)])
    assert found.id == "not-steady"
    assert "1 of 2 warm-ups" in found.message


@pytest.mark.parametrize(("second", "how"), [(1.2, "20% slower"), (0.8, "20% faster")])
def test_drift(second, how):
    others = [outcome(label, FINE, [second] * 15) for label in "xy"]
    (found,) = cautions(audit(), Settings(), others)
    assert found.id == "drift"
    assert how in found.message


def test_one_that_drifts_alone_was_launched_into_another_place():
    calm = [outcome(label, FINE, FINE) for label in "xy"]
    assert ids(*calm, outcome("z", FINE, [1.3] * 15)) == []


def test_drift_cannot_be_told_from_a_few_rounds():
    assert ids(outcome("x", [1.0] * 9, [2.0] * 9)) == []


def test_outputs_that_differ():
    assert ids(outcome("x", FINE, output_difference=0.06)) == [("outputs-differ", "x")]
    assert ids(outcome("x", FINE, output_difference=0.04)) == []


def test_a_contender_that_failed_is_not_judged():
    assert ids(replace(used(threads_used=9), status="failed")) == []


def test_messages_name_the_numbers_and_what_to_do():
    (found,) = cautions(audit(load_start=3.1), Settings(), ())
    assert found.message == (
        "load average 3.1 on 4 cores before the start: close other programs or raise --rounds"
    )
