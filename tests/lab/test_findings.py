"""Logs of builds: unique lines with counts, and those that explain a slowdown."""

from __future__ import annotations

from assay.lab.findings import build_logs
from tests.lab.measured import measured

LOOPS = {"id": "schedule/none", "evidence": "mean runs as plain loops"}
MOVES = {"id": "layout/transpose-around-op", "evidence": "permute_dims after add"}


def log(milliseconds, *costs):
    remarks = [
        {**kind, "why": "", "advice": "", "cost_ms": cost}
        for kind, cost in zip((LOOPS, MOVES), costs, strict=True)
    ]
    lines = {
        "[target] llvm": 1,
        f"[pass] FuseOps: 3 call_tir ({milliseconds} ms)": 1,
        f"[pass] FuseTIR: 3 call_tir ({milliseconds + 1} ms)": 1,
        "[schedule] mean runs as plain loops": 1,
        "[layout] permute_dims after add": 1,
        "[isa] the code uses vectors of 128 bits": 1,
    }
    (found,) = build_logs([measured("tvm-x", 1.0, remarks=remarks, log_lines=lines)])
    return found


def test_lines_keep_the_logs_order_whatever_was_measured():
    texts = [line.text for line in log(3, 0.5, 2.0).lines]
    assert texts == [line.text for line in log(17, 2.0, 0.5).lines]
    assert texts[1] == "[pass] FuseOps: 3 call_tir"


def test_those_that_explain_a_slowdown_are_found_by_remark_the_costliest_first():
    found = log(3, 0.5, 2.0)
    assert [(line.cause.id, line.cause.cost_ms) for line in found.causes] == [
        ("layout/transpose-around-op", 2.0),
        ("schedule/none", 0.5),
    ]
    assert {line.text for line in found.others} | {line.text for line in found.causes} == {
        line.text for line in found.lines
    }
    assert len(found.others) == 4


def test_equal_lines_are_counted():
    lines = {"[pass] A: 1 add (1 ms)": 2, "[pass] A: 1 add (2 ms)": 1}
    (found,) = build_logs([measured("tvm-x", 1.0, remarks=[], log_lines=lines)])
    assert [(line.text, line.count) for line in found.lines] == [("[pass] A: 1 add", 3)]
