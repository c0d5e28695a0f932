"""How often two models predict the same class, whether or not it is the right one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from assay.errors import InputError
from assay.lab.results import NO_PREDICTION


@dataclass(frozen=True)
class Agreement:
    """``share`` is the part of the samples, from 0 to 1, that both predict alike."""

    samples: int
    disagreements: int
    share: float


def agreement(predictions: Sequence[int], reference: Sequence[int]) -> Agreement:
    """Compare two lists of class indices, sample by sample.

    A sample without a prediction (``NO_PREDICTION``) in either list is a disagreement, even when
    both lack it: two broken models do not confirm each other. InputError if the lists differ in
    length or are empty.
    """
    samples = len(predictions)
    if samples != len(reference):
        raise InputError(
            f"predictions for {samples} and {len(reference)} samples do not compare: "
            "run both models on the same data set"
        )
    if samples == 0:
        raise InputError("there is no prediction to compare: give at least one")
    equal = sum(
        ours == theirs != NO_PREDICTION for ours, theirs in zip(predictions, reference, strict=True)
    )
    return Agreement(samples, samples - equal, equal / samples)
