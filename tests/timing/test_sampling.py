"""Rounds and warm-up, on a clock that only the runs move."""

from __future__ import annotations

import hashlib
import threading
from functools import partial
from itertools import chain, repeat

import pytest

from assay.timing.sampling import run_for, wait_until_idle, warm_up


class Machine:
    """Runs that take the given times, in nanoseconds; the last one for ever."""

    def __init__(self, *times):
        self._times = chain(times, repeat(times[-1]))
        self._now = 0
        self.runs = 0

    def run(self):
        self._now += next(self._times)
        self.runs += 1

    def clock(self):
        return self._now


def test_as_many_runs_as_fit():
    machine = Machine(10)
    assert run_for(machine.run, 35, clock=machine.clock) == [10, 10, 10]
    machine = Machine(10)
    assert run_for(machine.run, 40, clock=machine.clock) == [10] * 4


@pytest.mark.parametrize("time_ns", [0, 5, 10, 19])
def test_at_least_one_run(time_ns):
    machine = Machine(10)
    assert run_for(machine.run, time_ns, clock=machine.clock) == [10]


def test_runs_can_be_limited():
    machine = Machine(1)
    assert len(run_for(machine.run, 10_000, most=7, clock=machine.clock)) == 7


def test_each_run_is_timed_on_its_own():
    machine = Machine(5, 1, 9, 2)
    assert run_for(machine.run, 100, most=4, clock=machine.clock) == [5, 1, 9, 2]


def test_warm_up_ends_when_times_no_longer_fall():
    machine = Machine(100, 100, 60, 60, 60, *[30] * 6, 20)
    found = warm_up(machine.run, 200, machine.clock)
    assert found.medians_ns == [100, 60, 30, 20, 20, 20]
    assert found.steady
    assert found.runs == machine.runs


def test_a_program_that_needs_no_warm_up_gets_three_slices():
    found = warm_up((machine := Machine(10)).run, 100, machine.clock)
    assert (found.medians_ns, found.runs, found.steady) == ([10] * 3, 30, True)


def test_a_slow_slice_is_no_reason_to_go_on():
    machine = Machine(*[10] * 10, *[50] * 2, 10)
    assert len(warm_up(machine.run, 100, machine.clock).medians_ns) == 3


def test_a_program_that_gets_faster_for_ever_is_not_steady():
    machine = Machine(*[1_000_000 - 40_000 * i for i in range(24)])
    found = warm_up(machine.run, 1, machine.clock)
    assert not found.steady
    assert found.runs == 20


def work(iterations):
    """Keep a thread busy without Python's lock."""
    digest = partial(hashlib.pbkdf2_hmac, "sha256", b"", b"", iterations)
    thread = threading.Thread(target=digest)
    thread.start()
    return thread


def test_waiting_ends_when_threads_sleep():
    thread = work(1_000_000)
    waited = wait_until_idle(limit_s=60)
    thread.join(0.02)  # its work is done, it only has to end
    assert not thread.is_alive()
    assert waited < 60


def test_waiting_has_a_limit():
    thread = work(1_000_000)
    waited = wait_until_idle(limit_s=0.01)
    assert thread.is_alive()
    assert waited > 0.01
    thread.join()
