"""Whether one contender is faster than another: ratios of medians with intervals.

Two processes of one and the same program differ by several percent for as long as they live, since
each lies elsewhere in memory (Mytkowicz et al., "Producing wrong data without doing anything
obviously wrong", ASPLOS 2009). However many rounds one process runs, it stays one draw; so what
counts as independent are launches (Kalibera and Jones, "Rigorous benchmarking in reasonable time",
ISMM 2013, who also argue for ratios with intervals). Within a launch, medians resist the outliers
that other programs cause.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[Any]

# Intervals promise 95 %; the rest is a margin for noise that is not normally distributed.
CONFIDENCE = 0.97
RESAMPLES = 2000

# With fewer rounds, blocks of two or more would leave too few of them to draw from.
_ROUNDS_FOR_BLOCKS = 27

Verdict = Literal["faster", "slower", "cannot tell"]

# The values of a contender's rounds, launch by launch.
Launches = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Comparison:
    """The time of ``subject`` over that of ``reference``: below 1 the subject is faster.

    ``low`` and ``high`` bound the ratio with 95 % confidence; the verdict is about the subject.
    """

    subject: str
    reference: str
    ratio: float
    low: float
    high: float
    verdict: Verdict

    def inverse(self) -> Comparison:
        """Return the same finding as seen from the other side."""
        turned: dict[Verdict, Verdict] = {"faster": "slower", "slower": "faster"}
        return replace(
            self,
            subject=self.reference,
            reference=self.subject,
            ratio=1 / self.ratio,
            low=1 / self.high,
            high=1 / self.low,
            verdict=turned.get(self.verdict, self.verdict),
        )


@dataclass(frozen=True)
class Level:
    """How slow a contender is, as the logarithm of its time, and how sure that is.

    ``draws`` are bootstrap replicates of ``log_time``; ``units`` is how many independent values
    they were drawn from.
    """

    log_time: float
    draws: Floats
    units: float


def compare_all(
    contenders: Sequence[tuple[str, Launches]], seed: int = 0, resamples: int = RESAMPLES
) -> tuple[Comparison, ...]:
    """Compare each contender with all before it.

    All must have taken turns: round r of launch l of one belongs to that of the others. Resampling
    takes the same launches and rounds for every contender, so that whatever slowed all of a round
    or a launch down cancels out (paired bootstrap).
    """
    import numpy as np

    levels = [level(each, np.random.default_rng(seed), resamples) for _, each in contenders]
    return tuple(
        _comparison(
            contenders[subject][0],
            contenders[reference][0],
            levels[subject].log_time - levels[reference].log_time,
            float((levels[subject].draws - levels[reference].draws).std(ddof=1)),
            levels[subject].units,
        )
        for reference, subject in combinations(range(len(contenders)), 2)
    )


def compare_apart(
    contenders: Sequence[tuple[str, Launches]], seed: int = 0, resamples: int = RESAMPLES
) -> tuple[Comparison, ...]:
    """Compare each contender with all before it, where each was timed by itself.

    What slowed a contender down did so to it alone, and counts as its own: the intervals hold only
    for differences larger than what the machine changed in between.
    """
    import numpy as np

    levels = [
        level(launches, np.random.default_rng((seed, index)), resamples)
        for index, (_, launches) in enumerate(contenders)
    ]
    return tuple(
        _unpaired(contenders[s][0], contenders[r][0], levels[s], levels[r])
        for r, s in combinations(range(len(contenders)), 2)
    )


def compare_unpaired(
    label: str, new: Launches, old: Launches, seed: int = 0, resamples: int = RESAMPLES
) -> Comparison:
    """Compare two separate measurements of one contender, ``old`` being the reference."""
    import numpy as np

    rng = np.random.default_rng(seed)
    now, before = level(new, rng, resamples), level(old, rng, resamples)
    return _unpaired(label, f"{label} before", now, before)


def _unpaired(subject: str, reference: str, now: Level, before: Level) -> Comparison:
    deviation = float((now.draws - before.draws).std(ddof=1))
    units = min(now.units, before.units)  # on the safe side of Welch's degrees of freedom
    return _comparison(subject, reference, now.log_time - before.log_time, deviation, units)


def time_interval(launches: Launches, seed: int = 0) -> tuple[float, float, float]:
    """Return a contender's time and the ends of its 95 % interval, in the unit of the values."""
    import math

    import numpy as np

    found = level(launches, np.random.default_rng(seed))
    half = _half_width(float(found.draws.std(ddof=1)), found.units)
    return (
        math.exp(found.log_time),
        math.exp(found.log_time - half),
        math.exp(found.log_time + half),
    )


def level(launches: Launches, rng: Any, resamples: int = RESAMPLES) -> Level:
    """Return the mean over launches of the logarithm of their medians, and replicates of it.

    Several launches are what is resampled. Of a single one, rounds are, in blocks of consecutive
    ones, since neighbours resemble each other: disturbances last (circular block bootstrap, Politis
    and Romano, 1992). Blocks grow with the cube root of the number of rounds (Hall, Horowitz and
    Jing, "On blocking rules for the bootstrap with dependent data", Biometrika 82, 1995).
    """
    import numpy as np

    if len(launches) > 1:
        logs = np.log([np.median(rounds) for rounds in launches])
        chosen = rng.integers(0, logs.size, (resamples, logs.size))
        return Level(float(logs.mean()), logs[chosen].mean(axis=1), logs.size)
    logs = np.log(np.asarray(launches[0], dtype=np.float64))
    count = logs.size
    block = int(count ** (1 / 3)) if count >= _ROUNDS_FOR_BLOCKS else 1
    starts = rng.integers(0, count, (resamples, -(-count // block), 1))
    chosen = ((starts + np.arange(block)) % count).reshape(resamples, -1)[:, :count]
    middle = [(count - 1) // 2, count // 2]
    draws = np.partition(logs[chosen], middle, axis=1)[:, middle].mean(axis=1)
    return Level(float(np.median(logs)), draws, count / block)


def _comparison(
    subject: str, reference: str, log_ratio: float, deviation: float, units: float
) -> Comparison:
    """Return the ratio with an interval, from the bootstrap's deviation of its logarithm."""
    import math

    half = _half_width(deviation, units)
    low, high = math.exp(log_ratio - half), math.exp(log_ratio + half)
    return Comparison(subject, reference, math.exp(log_ratio), low, high, verdict(low, high))


def _half_width(deviation: float, units: float) -> float:
    """Return half the width of the interval of a logarithm, from its bootstrap deviation.

    A t interval with bootstrap standard error, corrected for the bootstrap's being too narrow by
    sqrt((n - 1) / n) for n units (Hesterberg, "What teachers should know about the bootstrap", The
    American Statistician 69, 2015). For several launches it is Student's paired t interval. Unlike
    percentiles it holds for few units, too: their ends lie between the outermost ones.
    """
    import math

    from scipy.special import stdtrit

    tail = float(stdtrit(units - 1, (1 + CONFIDENCE) / 2))
    return tail * math.sqrt(units / (units - 1)) * deviation


def verdict(low: float, high: float) -> Verdict:
    """Call a difference only if the interval of the ratio leaves 1 out."""
    if high < 1:
        return "faster"
    return "slower" if low > 1 else "cannot tell"
