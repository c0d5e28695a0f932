"""Whether builds got slower: fails on what is sure only."""

from __future__ import annotations

import numpy as np
import pytest

from assay.errors import ConfigError
from assay.timing.gate import Gate, check_gate, hold_against
from assay.timing.store import load_earlier, save
from tests.timing.benches import bench, outcome


def times(seed, middle, noise=0.01):
    """Ten launches of five rounds."""
    logs = np.random.default_rng(seed).normal(np.log(middle), noise, (10, 5))
    return np.exp(logs).tolist()


@pytest.fixture
def earlier(tmp_path):
    """A build of 1 ms beside LiteRT with 2 ms."""
    path = tmp_path / "old.json"
    old = bench(
        outcome("assay O3", *times(1, 1.0)),
        outcome("litert", *times(2, 2.0), runtime="litert"),
    )
    save(old, path)
    return load_earlier(path)


def finding(earlier, build_ms, litert_ms=2.0, noise=0.01, **options):
    new = bench(
        outcome("assay O3", *times(3, build_ms, noise)),
        outcome("litert", *times(4, litert_ms, noise), runtime="litert"),
    )
    found = hold_against(Gate(earlier, **options), new)
    return {each.comparison.subject: (each.finding, each.decides) for each in found}


def test_the_same_speed_is_fast_enough(earlier):
    assert finding(earlier, 1.0)["assay O3"] == ("fast enough", True)


def test_much_slower_is_too_slow(earlier):
    assert finding(earlier, 1.2)["assay O3"] == ("too slow", True)


def test_slower_but_allowed(earlier):
    assert finding(earlier, 1.2, max_slowdown=1.3)["assay O3"] == ("fast enough", True)


def test_noise_does_not_fail_anybody(earlier):
    assert finding(earlier, 1.08, noise=0.3)["assay O3"] == ("cannot tell", True)


def test_a_slower_peer_decides_nothing(earlier):
    assert finding(earlier, 1.0, litert_ms=3.0)["litert"] == ("too slow", False)


def test_with_a_yardstick_a_slow_day_is_no_slow_build(earlier):
    assert finding(earlier, 1.5, 3.0)["assay O3"] == ("too slow", True)
    assert finding(earlier, 1.5, 3.0, yardstick="litert") == {"assay O3": ("fast enough", True)}
    assert finding(earlier, 1.5, 2.0, yardstick="litert") == {"assay O3": ("too slow", True)}


BUILD = outcome("assay O3", [1.0, 1.0]).contender
LITERT = outcome("litert", [1.0, 1.0], runtime="litert").contender


def test_labels_in_both(earlier):
    other = outcome("assay O4", [1.0, 1.0]).contender
    assert check_gate(Gate(earlier), (BUILD, other, LITERT), 1, "A CPU") == ("assay O3", "litert")


@pytest.mark.parametrize(
    ("contenders", "options", "threads", "cpu", "reason"),
    [
        ((BUILD,), {}, 2, "A CPU", r"with 1 thread\(s\), not on A CPU with 2"),
        ((BUILD,), {}, 1, "B", "measured on A CPU"),
        ((LITERT,), {}, 1, "A CPU", "holds no build of assay that is timed now"),
        ((BUILD,), {"yardstick": "litert"}, 1, "A CPU", "'litert' is not in both"),
        ((BUILD,), {"max_slowdown": 0.9}, 1, "A CPU", "max-slowdown is 0.9"),
        ((BUILD,), {"max_slowdown": float("nan")}, 1, "A CPU", "max-slowdown is nan"),
        (
            (outcome("assay O3", [1.0, 1.0], sha="other").contender,),
            {},
            1,
            "A CPU",
            "was another model",
        ),
    ],
)
def test_what_cannot_be_held_against_each_other(earlier, contenders, options, threads, cpu, reason):
    with pytest.raises(ConfigError, match=reason):
        check_gate(Gate(earlier, **options), contenders, threads, cpu)


def test_a_yardstick_that_was_not_timed(earlier):
    new = bench(outcome("assay O3", *times(3, 1.0)))
    with pytest.raises(ConfigError, match="could not be timed"):
        hold_against(Gate(earlier, yardstick="litert"), new)
