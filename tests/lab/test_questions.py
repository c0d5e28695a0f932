"""Answers follow from the numbers: who is faster, who is more accurate, and what cannot be told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from assay.lab.questions import QUESTIONS, answers, avx2, opt_levels
from assay.lab.verdict import verdict
from assay.lab.versus import Evidence
from tests.lab.measured import CPU, measured, measured_results

RUN = (
    measured("tflite-fp32", 10.0, wrong=20),
    measured("tflite-int8", 5.0, wrong=21),
    measured("tvm-fp32-nhwc", 8.0, wrong=20, config={"layout": "nhwc"}),
    measured("tvm-fp32-opt1", 40.0, wrong=20, library_sha256="1"),
    measured("tvm-fp32-opt2", 12.0, wrong=20, library_sha256="2"),
    measured("tvm-fp32-opt3", 12.01, wrong=20, library_sha256="3"),
    measured("tvm-fp32-opt4", 12.0, wrong=20, library_sha256="3"),
    measured("tvm-int8-nhwc", 4.0, wrong=20, config={"layout": "nhwc"}),
    measured("tvm-int8", 30.0, wrong=20),
    measured("tvm-int8-fixed", 6.0, wrong=20),
    measured(
        "tvm-fp32-opt1-avx2",
        40.0,
        wrong=20,
        resolved_target="b",
        remarks=[
            *3 * [{"id": "schedule/none", "evidence": "dense runs as plain loops"}],
            *9 * [{"id": "layout/transpose-around-op", "evidence": "permute_dims"}],
        ],
    ),
    measured("tvm-fp32-opt2-avx2", 9.0, wrong=20),
    replace(
        measured("tvm-int8-avx2", 1.0),
        status="failed",
        reason="LLVM gave up",
        quality=None,
        timing=None,
    ),
)


@pytest.fixture(scope="module")
def evidence():
    return Evidence(measured_results(*RUN))


@pytest.fixture(scope="module")
def said(evidence):
    return [" ".join(answer.sentences) for answer in answers(evidence)]


def test_a_ratio_is_that_of_the_times_whatever_slowed_all_down(evidence):
    speed = evidence.pair("tvm-fp32-nhwc", "tflite-fp32").speed
    assert speed.low < 0.8 < speed.high
    assert speed.high - speed.low < 0.02  # although launches differ by 30 %
    assert speed.verdict == "faster"
    back = evidence.pair("tflite-fp32", "tvm-fp32-nhwc").speed
    assert back.ratio == pytest.approx(1 / speed.ratio)
    assert back.verdict == "slower"


def test_the_interval_of_a_time_holds_what_launches_differ_by(evidence):
    latency = evidence.latencies["tflite-fp32"]
    assert latency.low_ms < 10.0 < latency.high_ms
    assert latency.high_ms / latency.low_ms > 1.2


def test_fp32_against_nhwc(said):
    assert "tvm-fp32-nhwc is 1.25 times as fast as tflite-fp32 (time ratio 0.8" in said[0]
    assert "Both predict the same class for all 200 samples." in said[0]
    assert "Its file has 1.50 times the size of that of tflite-fp32." in said[0]


def test_the_fastest_nchw_build_is_looked_for_among_all(said):
    assert said[1].startswith("The fastest of 6 NCHW builds is tvm-fp32-opt2-avx2.")
    assert "tvm-fp32-opt2-avx2 is 1.11 times as fast as tflite-fp32" in said[1]


def test_nhwc_to_nchw(said):
    assert "tvm-fp32-opt3 takes 1.50 times as long as tvm-fp32-nhwc" in said[2]
    assert "tvm-int8-fixed takes 1.50 times as long as tvm-int8-nhwc" in said[2]


def test_int8_before_and_after(said):
    assert "tvm-int8 takes 6.00 times as long as tflite-int8" in said[3]
    assert "tvm-int8-fixed takes 1.20 times as long as tflite-int8" in said[3]
    assert "tvm-int8-fixed is 5.00 times as fast as tvm-int8" in said[3]
    assert "No measurable difference in accuracy (+0.50 points" in said[3]
    assert "right alone: 1 against 0 samples, McNemar p = 1.000" in said[3]


def test_opt_levels_that_cannot_be_told_apart_and_identical_ones(said):
    assert "tvm-fp32-opt2 is 3.33 times as fast as tvm-fp32-opt1" in said[4]
    assert "No measurable difference in speed between tvm-fp32-opt3 and tvm-fp32-opt2" in said[4]
    assert "tvm-fp32-opt4 and tvm-fp32-opt3 are the same library, byte by byte" in said[4]


def test_avx2_without_gain_names_the_cpu_and_the_reason(said):
    assert f"No gain on this CPU, {CPU}: 3 operators of tvm-fp32-opt1-avx2 have no" in said[5]
    assert "tvm-fp32-opt2-avx2 is 1.33 times as fast as tvm-fp32-opt2" in said[5]
    assert f"tvm-int8-avx2 failed on this CPU, {CPU}: LLVM gave up." in said[5]


def test_questions_without_experiments_say_so():
    evidence = Evidence(measured_results(measured("tflite-fp32", 1.0)))
    assert len(QUESTIONS) == 6
    for answer in answers(evidence):
        assert answer.sentences == ("The experiments that this question is about were not run.",)
        assert answer.pairs == ()


def test_levels_of_either_target_are_compared_among_themselves(evidence):
    names = {(p.subject.name, p.reference.name) for p in opt_levels(evidence).pairs}
    assert ("tvm-fp32-opt2-avx2", "tvm-fp32-opt1-avx2") in names
    assert len(avx2(evidence).pairs) == 2


class TestVerdict:
    def test_the_fastest_that_is_accurate_enough(self, evidence):
        found = verdict(evidence)
        assert found.choice.name == "tvm-int8-nhwc"
        assert len(found.sentences) == 3
        assert found.sentences[0].startswith("Deploy tvm-int8-nhwc")
        assert "2.50 times as fast as tflite-fp32" in found.sentences[1]
        assert "same class for all 200 samples; its file has 1.50 times" in found.sentences[2]

    def test_what_is_measurably_less_accurate_is_not_deployed(self):
        run = (RUN[0], measured("tvm-int8-nhwc", 4.0, wrong=40), RUN[2])
        assert verdict(Evidence(measured_results(*run))).choice.name == "tvm-fp32-nhwc"

    def test_of_equally_fast_ones_the_smallest(self):
        run = (RUN[0], RUN[7], measured("tvm-int8", 4.0, wrong=20, artifact_bytes=900))
        found = verdict(Evidence(measured_results(*run)))
        assert found.choice.name == "tvm-int8"
        assert (
            "the smallest of 2 that cannot be told from the fastest by speed" in found.sentences[0]
        )

    def test_the_reference_itself(self):
        found = verdict(Evidence(measured_results(RUN[0], RUN[3])))
        assert found.sentences[1:] == (
            "It is the reference itself.",
            "No other experiment improves on it.",
        )

    def test_nothing_to_recommend(self):
        assert verdict(Evidence(measured_results(RUN[-1]))).choice is None


def test_experiments_timed_one_after_another_are_compared_too():
    evidence = Evidence(measured_results(*RUN[:4], in_turns=False))
    assert not evidence.in_turns
    speed = evidence.pair("tvm-fp32-nhwc", "tflite-fp32").speed
    assert speed.ratio == pytest.approx(0.8, rel=0.01)
    assert speed.verdict == "faster"
    assert verdict(evidence).choice.name == "tflite-int8"
