"""What assay's runtime adds to an inference."""

from __future__ import annotations

from benchmarks.overhead import measure


def test_a_run_adds_microseconds_only(tmp_path):
    """By minima, which other programs hardly touch; the benchmark shows some 0.05 us."""
    assert measure(tmp_path, repetitions=500).added_us < 20
