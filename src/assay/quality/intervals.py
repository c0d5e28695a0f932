"""How sure an accuracy is, and whether two models differ in it: intervals and a paired test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from assay.errors import InputError

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Share:
    """A share from 0 to 1 with its 95 % confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Versus:
    """The accuracy of one model held against another's on the same samples.

    ``difference`` is the first's accuracy minus the second's, with a 95 % interval from ``low`` to
    ``high``; ``only_first`` and ``only_second`` count samples that one alone classifies right,
    ``unlike`` those that the two put into different classes. ``p_value`` is that of McNemar's test.
    """

    samples: int
    difference: float
    low: float
    high: float
    only_first: int
    only_second: int
    unlike: int
    p_value: float

    @property
    def measurable(self) -> bool:
        """Whether the accuracies differ at the 5 % level."""
        return self.p_value < 1 - CONFIDENCE


def wilson(right: int, samples: int) -> Share:
    """Return the share ``right`` / ``samples`` with Wilson's score interval.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of
    the American Statistical Association 22, 1927. InputError without samples.
    """
    from scipy.stats import binomtest

    if samples == 0:
        raise InputError("there is no sample to evaluate: give at least one")
    found = binomtest(right, samples).proportion_ci(CONFIDENCE, method="wilson")
    return Share(right / samples, float(found.low), float(found.high))


def versus(first: Sequence[int], second: Sequence[int], labels: Sequence[int]) -> Versus:
    """Compare two models' predictions (class indices) sample by sample.

    McNemar's test in its exact form: of the samples that one model alone has right, each is the
    first's with probability 1/2 (Q. McNemar, Psychometrika 12, 1947). The interval of the
    difference is Bonett and Price's (Journal of Educational and Behavioral Statistics 37, 2012),
    which adds one such sample to each side. InputError if the lists differ in length or are empty.
    """
    from scipy.special import ndtri
    from scipy.stats import binomtest

    samples = len(labels)
    if samples == 0 or not len(first) == len(second) == samples:
        raise InputError("predictions and labels do not compare: run both models on the same data")
    triples = list(zip(first, second, labels, strict=True))
    b = sum(one == label != other for one, other, label in triples)
    c = sum(other == label != one for one, other, label in triples)
    p, q = (b + 1) / (samples + 2), (c + 1) / (samples + 2)
    half = float(ndtri((1 + CONFIDENCE) / 2)) * math.sqrt((p + q - (p - q) ** 2) / (samples + 2))
    return Versus(
        samples=samples,
        difference=(b - c) / samples,
        low=max(-1.0, p - q - half),
        high=min(1.0, p - q + half),
        only_first=b,
        only_second=c,
        unlike=sum(one != other for one, other, _ in triples),
        p_value=float(binomtest(b, b + c).pvalue) if b + c else 1.0,
    )
