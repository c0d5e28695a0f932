import statistics

import numpy as np
import pytest

from assay.timing.statistics import spread, summarize


def test_by_hand():
    timing = summarize([4.0, 1.0, 3.0, 2.0], first_ms=9.0)
    assert timing.first_ms == 9.0
    assert timing.mean_ms == 2.5
    assert timing.std_ms == pytest.approx((5 / 3) ** 0.5)
    assert timing.median_ms == 2.5
    # Linear method: rank (n - 1) * q between the sorted samples.
    assert timing.p10_ms == pytest.approx(1 + 0.3)
    assert timing.p90_ms == pytest.approx(3 + 0.7)
    assert timing.p99_ms == pytest.approx(3 + 0.97)


def test_samples_are_kept_in_the_order_they_were_taken():
    assert summarize([3.0, 1.0, 2.0], 0.0).samples_ms == [3.0, 1.0, 2.0]


def test_one_sample_has_no_spread():
    timing = summarize([7.5], 8.0)
    assert timing.std_ms == 0.0
    assert timing.mean_ms == timing.median_ms == timing.p10_ms == timing.p99_ms == 7.5


def test_agrees_with_the_standard_library():
    samples = np.random.default_rng(3).gamma(2.0, 5.0, 501)
    timing = summarize(samples, 1.0)
    assert timing.mean_ms == pytest.approx(statistics.fmean(samples))
    assert timing.std_ms == pytest.approx(statistics.stdev(samples))
    assert timing.median_ms == pytest.approx(statistics.median(samples))
    cuts = statistics.quantiles(samples, n=100, method="inclusive")
    assert [timing.p10_ms, timing.p90_ms, timing.p99_ms] == pytest.approx(
        [cuts[9], cuts[89], cuts[98]]
    )


def test_whole_numbers_become_plain_floats():
    timing = summarize([1, 2], 3)
    assert {type(value) for value in (*timing.samples_ms, timing.first_ms)} == {float}


def test_no_sample_at_all_is_an_error():
    with pytest.raises(ValueError, match="no latency samples"):
        summarize([], 1.0)


def test_spread_of_rounds():
    rounds = [[1.0, 2.0, 9.0], [4.0], [10.0, 20.0], [3.0]]
    found = spread(rounds)
    values = [2.0, 4.0, 15.0, 3.0]  # median of each round
    assert found.runs == 7
    assert found.median_ms == 3.5
    assert found.mad_ms == statistics.median(abs(value - 3.5) for value in values) == 1.0
    runs = [run for each in rounds for run in each]
    assert [found.p10_ms, found.p90_ms, found.p99_ms] == pytest.approx(
        [np.percentile(runs, q) for q in (10, 90, 99)]
    )


@pytest.mark.parametrize("rounds", [[], [[]], [[1.0], []]])
def test_no_spread_without_samples(rounds):
    with pytest.raises(ValueError, match="no latency samples"):
        spread(rounds)
