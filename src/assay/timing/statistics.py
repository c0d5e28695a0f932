"""Summary statistics of latency samples."""

from __future__ import annotations

from collections.abc import Sequence

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
