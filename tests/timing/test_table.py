"""Comparisons on the terminal."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from rich.console import Console

from assay.timing.record import Caution, Contender, Outcome
from assay.timing.table import milliseconds, print_bench
from tests.timing.benches import bench, outcome


@pytest.fixture
def text(tmp_path):
    """What is printed of a build, a runtime twice as slow, and one that failed."""
    failed = Outcome(Contender("gone", "digits", "x", tmp_path), "failed", "died of [SIGKILL]")
    builds = [[1.0] * 8] * 4, [[2.0] * 8] * 4
    found = bench(outcome("assay O3", *builds[0]), outcome("litert", *builds[1]), failed)
    warned = replace(found, audit=replace(found.audit, warnings=(Caution("x", "do [y]"),)))
    console = Console(width=80)
    with console.capture() as captured:
        print_bench(warned, console)
    return captured.get()


def row(text, table, label):
    """Return the cells of a row of the table whose first heading is given."""
    lines = text[text.index(f"  {table} ") :].splitlines()
    line = next(line for line in lines if line.startswith(f"  {label} "))
    return [cell.strip() for cell in re.split(r"  +", line.strip())]


def test_the_times(text):
    """One run in three takes five times as long as the median."""
    expected = ["litert", "2.000", "0.000", "1.800", "10.00", "10.00", "96"]
    assert row(text, "inference", "litert") == expected
    assert row(text, "inference", "assay O3")[1] == "1.000"


def test_the_ratios(text):
    expected = ["litert", "2.000 [2.000, 2.000]", "slower"]
    assert row(text, "time / assay O3", "litert") == expected


def test_the_costs_are_medians_over_launches(text):
    assert row(text, "start", "litert") == ["litert", "-", "20.00", "1.000", "2.000", "3.0", "2.0"]
    assert row(text, "memory", "litert") == ["litert", "50.0", "60.0", "61.0", "1", "0.99"]


def test_tables_fit_a_terminal_of_80_columns(text):
    tables = text[: text.index("CPU:")].splitlines()
    assert max(len(line.rstrip()) for line in tables) <= 80
    assert "…" not in text


def test_conditions_failures_and_warnings(text):
    assert "gone failed: died of [SIGKILL]" in text
    assert "CPU: A CPU (x86_64: avx2 fma)" in text
    assert "pinned to core(s) 1; 1 thread(s); governor performance" in text
    assert "load average: 0.10 before, 1.00 after" in text
    assert "assay 1.0" in text
    assert "warning: do [y]" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0041234, "0.004123"),
        (1, "1.000"),
        (12.345678, "12.35"),
        (1234.5, "1234"),
        (98765, "98765"),
    ],
)
def test_times_have_four_digits(value, text):
    assert milliseconds(value) == text
