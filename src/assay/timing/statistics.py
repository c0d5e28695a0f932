"""Summary statistics of latency samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from assay.lab.results import Timing


def summarize(samples_ms: Sequence[float], first_ms: float) -> Timing:
    """Sum up latencies, all in milliseconds; ``first_ms`` is the first run and joins no statistic.

    ``std_ms`` is the sample standard deviation (n - 1 in the denominator; 0 for a single sample).
    Median and percentiles interpolate linearly between the closest ranks (NumPy's ``linear``,
    definition 7 of Hyndman and Fan, 1996). No sample is dropped as an outlier. ValueError if there
    is none at all.
    """
    import numpy as np

    if len(samples_ms) == 0:
        raise ValueError("no latency samples to summarize")
    samples = np.asarray(samples_ms, dtype=np.float64)
    p10, median, p90, p99 = np.percentile(samples, [10, 50, 90, 99], method="linear").tolist()
    return Timing(
        first_ms=float(first_ms),
        samples_ms=samples.tolist(),
        mean_ms=float(samples.mean()),
        std_ms=float(samples.std(ddof=1)) if samples.size > 1 else 0.0,
        median_ms=median,
        p10_ms=p10,
        p90_ms=p90,
        p99_ms=p99,
    )


@dataclass(frozen=True)
class Spread:
    """Where the latencies of one contender lie, in milliseconds.

    ``median_ms`` and ``mad_ms`` (median absolute deviation, as it is, not scaled to a standard
    deviation) are of the values of rounds, the percentiles of all single runs.
    """

    runs: int
    median_ms: float
    mad_ms: float
    p10_ms: float
    p90_ms: float
    p99_ms: float


def spread(rounds_ms: Sequence[Sequence[float]]) -> Spread:
    """Sum up latencies that were taken in rounds, in milliseconds.

    A round's value is the median of its runs. The median absolute deviation resists outliers as no
    other scale does (Rousseeuw and Croux, "Alternatives to the median absolute deviation", Journal
    of the American Statistical Association 88, 1993). Percentiles are those of ``summarize``.
    ValueError if there is no round, or one without a run.
    """
    import numpy as np

    if not rounds_ms or not all(len(each) for each in rounds_ms):
        raise ValueError("no latency samples to sum up")
    values = np.array([np.median(each) for each in rounds_ms])
    runs = np.concatenate([np.asarray(each, dtype=np.float64) for each in rounds_ms])
    median = float(np.median(values))
    p10, p90, p99 = np.percentile(runs, [10, 90, 99], method="linear").tolist()
    return Spread(
        runs=runs.size,
        median_ms=median,
        mad_ms=float(np.median(np.abs(values - median))),
        p10_ms=p10,
        p90_ms=p90,
        p99_ms=p99,
    )
