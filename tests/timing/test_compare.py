"""Ratios and verdicts on numbers whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from assay.timing.compare import CONFIDENCE, RESAMPLES, Comparison, compare_all, compare_unpaired
from assay.timing.record import Settings

DEFAULT = Settings()
NOISE = 0.05


def rounds(rng, shift=1.0, noise=NOISE, launch_noise=0.0, settings=DEFAULT, common=0.0):
    """Times of one contender: noise of single rounds, of launches, and what hits all alike."""
    return [
        (
            shift
            * np.exp(
                rng.normal(0, noise, settings.rounds_of(launch))
                + rng.normal(0, launch_noise)
                + (common[launch] if launch_noise or np.ndim(common) else 0.0)
            )
        ).tolist()
        for launch in range(settings.launches)
    ]


def verdict(a, b, seed=0, resamples=RESAMPLES):
    (found,) = compare_all([("a", a), ("b", b)], seed, resamples)
    return found.verdict


def share(trials, differs):
    return sum(differs(np.random.default_rng(seed), seed) for seed in range(trials)) / trials


def test_three_percent_are_found_at_the_default_settings_under_five_percent_noise():
    def found(rng, seed):
        return verdict(rounds(rng), rounds(rng, shift=1.03), seed) == "slower"

    assert share(300, found) >= 0.9


def test_no_shift_is_called_a_difference_in_at_most_five_percent_of_trials():
    def wrong(rng, seed):
        return verdict(rounds(rng), rounds(rng), seed) != "cannot tell"

    assert share(1000, wrong) <= 0.05


def test_processes_of_one_program_are_not_told_apart_although_each_has_its_own_speed():
    def wrong(rng, seed):
        a, b = (rounds(rng, noise=0.01, launch_noise=0.04, common=np.zeros(10)) for _ in "ab")
        return verdict(a, b, seed) != "cannot tell"

    assert share(500, wrong) <= 0.07  # 0.05 and two standard errors of 500 trials


def test_outliers_on_one_side_do_not_make_a_difference():
    def contender(rng):
        runs = 1 + rng.exponential(0.02, (10, 15)) * np.where(rng.random((10, 15)) < 0.1, 50, 1)
        return runs.tolist()

    def wrong(rng, seed):
        return verdict(contender(rng), contender(rng), seed) != "cannot tell"

    assert share(500, wrong) <= 0.07


def test_a_single_launch_is_resampled_by_rounds():
    one = replace(DEFAULT, launches=1)

    def wrong(rng, seed):
        a, b = rounds(rng, settings=one), rounds(rng, settings=one)
        return verdict(a, b, seed, resamples=400) != "cannot tell"

    def found(rng, seed):
        a, b = rounds(rng, settings=one), rounds(rng, shift=1.03, settings=one)
        return verdict(a, b, seed, resamples=400) == "slower"

    assert share(300, wrong) <= 0.075  # 0.05 and two standard errors of 300 trials
    assert share(100, found) >= 0.9


def test_disturbances_that_last_some_rounds_widen_the_interval_of_a_single_launch():
    calm, lasting = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        noise = rng.normal(0, NOISE, (2, 150))
        blocks = np.repeat(rng.normal(0, NOISE, (2, 30)), 5, axis=1)  # each lasts five rounds
        for times, widths in ((noise, calm), (blocks, lasting)):
            a, b = ([each] for each in np.exp(times).tolist())
            (found,) = compare_all([("a", a), ("b", b)], seed, resamples=400)
            widths.append(np.log(found.high / found.low))
    assert np.median(lasting) > 1.4 * np.median(calm)


def test_what_slows_all_down_cancels_out():
    rng = np.random.default_rng(0)
    slow_minutes = rng.normal(0, 0.2, 10)
    a = rounds(rng, noise=0.005, common=slow_minutes)
    b = rounds(rng, noise=0.005, shift=1.02, common=slow_minutes)
    (found,) = compare_all([("a", a), ("b", b)])
    assert found.verdict == "slower"
    assert found.high - found.low < 0.01


def test_the_interval_of_launches_is_students_paired_one():
    rng = np.random.default_rng(3)
    a, b = (rounds(rng, launch_noise=0.03, common=np.zeros(10)) for _ in "ab")
    (found,) = compare_all([("a", a), ("b", b)], resamples=100_000)
    logs = np.log(np.median(b, axis=1)) - np.log(np.median(a, axis=1))
    reference = stats.ttest_1samp(logs, 0).confidence_interval(CONFIDENCE)
    assert found.ratio == pytest.approx(np.exp(logs.mean()))
    assert np.log(found.low) == pytest.approx(reference.low, abs=2e-4)
    assert np.log(found.high) == pytest.approx(reference.high, abs=2e-4)


def test_every_pair_is_compared_once_in_order():
    contenders = [(name, [[time] * 3] * 3) for name, time in (("a", 1.0), ("b", 2.0), ("c", 4.0))]
    found = [(c.subject, c.reference, round(c.ratio, 9)) for c in compare_all(contenders)]
    assert found == [("b", "a", 2), ("c", "a", 4), ("c", "b", 2)]


def test_equal_times_cannot_be_told_apart():
    (found,) = compare_all([("a", [[3.0] * 4]), ("b", [[3.0] * 4])])
    assert (found.ratio, found.low, found.high, found.verdict) == (1, 1, 1, "cannot tell")


def test_one_contender_has_nobody_to_be_compared_with():
    assert compare_all([("a", [[1.0, 2.0]])]) == ()


@pytest.mark.parametrize("launches", [2, 3])
def test_few_launches_give_no_verdict_on_their_own_scatter(launches):
    """The outermost launches would bound a percentile interval, and be wrong half of the time."""
    settings = replace(DEFAULT, launches=launches, rounds=30)

    def wrong(rng, seed):
        a, b = (
            rounds(rng, 0.01, launch_noise=0.04, settings=settings, common=np.zeros(3))
            for _ in "ab"
        )
        return verdict(a, b, seed) != "cannot tell"

    assert share(300, wrong) <= 0.08


def test_the_same_seed_gives_the_same_interval():
    rng = np.random.default_rng(0)
    contenders = [("a", rounds(rng)), ("b", rounds(rng))]
    assert compare_all(contenders, seed=5) == compare_all(contenders, seed=5)


def test_the_other_side_sees_the_inverse():
    seen = Comparison("b", "a", 2.0, 1.6, 2.5, "slower").inverse()
    assert seen == Comparison("a", "b", 0.5, 0.4, 0.625, "faster")
    assert Comparison("b", "a", 1.0, 0.5, 2.0, "cannot tell").inverse().verdict == "cannot tell"


def test_separate_measurements_may_have_different_numbers_of_rounds():
    rng = np.random.default_rng(0)
    short = replace(DEFAULT, launches=6, rounds=60)
    old, new = rounds(rng, noise=0.01), rounds(rng, shift=1.1, noise=0.01, settings=short)
    found = compare_unpaired("x", new, old)
    assert found.low < 1.1 < found.high
    assert found.verdict == "slower"
    assert found.reference == "x before"


def test_separate_measurements_of_one_program_mostly_agree():
    def wrong(rng, seed):
        a, b = (rounds(rng, noise=0.01, launch_noise=0.03, common=np.zeros(10)) for _ in "ab")
        return compare_unpaired("x", a, b, seed).verdict != "cannot tell"

    assert share(500, wrong) <= 0.07
