"""Intervals and McNemar's test, against textbook formulas and published examples."""

from __future__ import annotations

import math
from math import comb

import pytest

from assay.errors import InputError
from assay.quality.intervals import versus, wilson

Z = 1.959963984540054


@pytest.mark.parametrize(("right", "samples"), [(485, 555), (1, 4), (0, 10), (10, 10)])
def test_wilson_is_its_formula(right, samples):
    found = wilson(right, samples)
    p, shift = right / samples, Z**2 / samples
    middle = (p + shift / 2) / (1 + shift)
    half = Z / (1 + shift) * math.sqrt(p * (1 - p) / samples + shift / (4 * samples))
    assert found.value == p
    assert found.low == pytest.approx(max(0, middle - half), abs=1e-12)
    assert found.high == pytest.approx(min(1, middle + half), abs=1e-12)


def predictions(first_only, second_only, both=5, neither=5):
    """Two lists of predictions for labels that are all 1, with these numbers of samples."""
    first = [1] * first_only + [0] * second_only + [1] * both + [0] * neither
    second = [0] * first_only + [1] * second_only + [1] * both + [2] * neither
    return first, second, [1] * len(first)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (1, 0), (6, 0), (2, 9), (40, 12)])
def test_mcnemar_is_the_exact_binomial_test(b, c):
    found = versus(*predictions(b, c))
    n, least = b + c, min(b, c)
    expected = min(1.0, 2 * sum(comb(n, k) for k in range(least + 1)) / 2**n) if n else 1.0
    assert found.p_value == pytest.approx(expected)
    assert (found.only_first, found.only_second, found.unlike) == (b, c, b + c + 5)
    assert found.difference == pytest.approx((b - c) / found.samples)
    assert found.low < found.difference < found.high


def test_whether_it_is_measurable():
    assert versus(*predictions(6, 0)).measurable
    assert not versus(*predictions(5, 0)).measurable


def test_the_other_way_round_is_the_same_with_the_sign_changed():
    first, second, labels = predictions(7, 2)
    one, other = versus(first, second, labels), versus(second, first, labels)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert one.p_value == other.p_value


def test_the_interval_is_bonett_and_prices():
    found = versus(*predictions(10, 3, 60, 27))
    p, q, n = 11 / 102, 4 / 102, 102
    half = Z * math.sqrt((p + q - (p - q) ** 2) / n)
    assert (found.low, found.high) == pytest.approx((p - q - half, p - q + half))


def test_a_sample_without_prediction_is_wrong():
    assert versus([-1, 0], [0, 0], [0, 0]).only_second == 1


def test_what_does_not_compare_is_refused():
    with pytest.raises(InputError, match="do not compare"):
        versus([1], [1, 2], [1, 2])
    with pytest.raises(InputError, match="do not compare"):
        versus([], [], [])
    with pytest.raises(InputError, match="no sample"):
        wilson(0, 0)
