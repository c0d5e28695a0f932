"""Timing one callable: rounds of runs, and the warm-up before them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from assay.timing import probe

Clock = Callable[[], int]

# A slice of the warm-up has to be faster than all before by this much to count as progress.
_PROGRESS = 0.01
_PATIENCE = 2
_MAX_SLICES = 20


@dataclass(frozen=True)
class WarmUp:
    """Runs before the measurement, in slices of time; ``medians_ns`` has the median of each slice.

    ``steady`` if they had stopped to get faster.
    """

    runs: int
    medians_ns: list[float]
    steady: bool


def run_for(
    run: Callable[[], object],
    time_ns: int,
    most: int | None = None,
    clock: Clock = time.perf_counter_ns,
) -> list[int]:
    """Call ``run`` as often as fits into ``time_ns``, at least once; return how long each took.

    A run fits if the time left is no shorter than what the last one took. ``most`` limits them.
    """
    samples: list[int] = []
    end = clock() + time_ns
    while True:
        before = clock()
        run()
        after = clock()
        taken = after - before
        samples.append(taken)
        if after + taken > end or len(samples) == most:
            return samples


def warm_up(
    run: Callable[[], object], slice_ns: int, clock: Clock = time.perf_counter_ns
) -> WarmUp:
    """Run until the times no longer fall: two slices of ``slice_ns`` without a new best median.

    A steady state has to be looked for, not assumed, and some programs never reach one (Georges,
    Buytaert and Eeckhout, "Statistically rigorous Java performance evaluation", OOPSLA 2007;
    Barrett et al., "Virtual machine warmup blows hot and cold", OOPSLA 2017). Hence the limit of 20
    slices, after which ``steady`` is False.
    """
    runs = 0
    medians: list[float] = []
    while len(medians) < _MAX_SLICES:
        samples = run_for(run, slice_ns, clock=clock)
        runs += len(samples)
        medians.append(median(samples))
        if len(medians) > _PATIENCE:
            best = min(medians[:-_PATIENCE])
            if min(medians[-_PATIENCE:]) >= (1 - _PROGRESS) * best:
                return WarmUp(runs, medians, steady=True)
    return WarmUp(runs, medians, steady=False)


def wait_until_idle(limit_s: float = 0.5, step_s: float = 0.001) -> float:
    """Sleep until all other threads of this process do: workers may spin for a while after a run.

    Return the seconds that took, at most about ``limit_s``.
    """
    started = time.perf_counter()
    while True:
        time.sleep(step_s)
        waited = time.perf_counter() - started
        if not probe.runnable_threads() or waited > limit_s:
            return waited
