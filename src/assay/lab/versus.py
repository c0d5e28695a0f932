"""One experiment against another: time, accuracy and size, each with how sure the difference is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from assay.lab.results import ExperimentResult, Results
from assay.quality.intervals import Share, Versus, versus, wilson
from assay.timing.compare import Comparison, compare_all, compare_apart, time_interval

REFERENCE = "tflite-fp32"
"""What accuracies are held against: the FP32 file in TensorFlow Lite's own runtime."""

_Launches = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Latency:
    """The time of one inference in ms with its 95 % interval."""

    ms: float
    low_ms: float
    high_ms: float


@dataclass(frozen=True)
class Pair:
    """``subject`` against ``reference``: time over time, accuracy minus accuracy, size over size.

    What was not measured of both is None. ``identical``: both run the same library, byte by byte.
    """

    subject: ExperimentResult
    reference: ExperimentResult
    speed: Comparison | None
    accuracy: Versus | None
    size_ratio: float | None
    identical: bool


class Evidence:
    """Everything that can be said of the experiments of one run and of any two of them.

    ``in_turns``: all were timed beside each other. If a run holds no such times, latencies are
    those of the evaluation, taken one experiment after another.
    """

    def __init__(self, results: Results) -> None:
        self.results = results
        self.by_name = {experiment.name: experiment for experiment in results.experiments}
        self.in_turns = results.turns is not None and bool(results.turns.rounds_ms)

    def done(self, name: str) -> ExperimentResult | None:
        """Return the experiment of this name if it was finished."""
        found = self.by_name.get(name)
        return found if found is not None and found.status == "done" else None

    @property
    def finished(self) -> list[ExperimentResult]:
        """All finished experiments, in the plan's order."""
        return [e for e in self.results.experiments if e.status == "done"]

    @cached_property
    def reference(self) -> ExperimentResult | None:
        """The FP32 file in LiteRT, else the first finished experiment of FP32, if there is one."""
        first = next((e for e in self.finished if e.precision == "fp32"), None)
        return self.done(REFERENCE) or first

    @cached_property
    def times(self) -> dict[str, _Launches]:
        """Times in ms by experiment, launch by launch: of rounds, or of single inferences."""
        if self.in_turns and self.results.turns is not None:
            return dict(self.results.turns.rounds_ms)
        return {
            e.name: [e.timing.samples_ms]
            for e in self.finished
            if e.timing and len(e.timing.samples_ms) > 1 and all(t > 0 for t in e.timing.samples_ms)
        }

    @cached_property
    def latencies(self) -> dict[str, Latency]:
        """The time of one inference, by experiment."""
        return {name: Latency(*time_interval(each)) for name, each in self.times.items()}

    @cached_property
    def accuracies(self) -> dict[str, Share]:
        """Top-1 accuracy with its Wilson interval, by experiment."""
        return {
            e.name: wilson(_right(e, self.results.dataset["labels"]), e.quality.samples)
            for e in self.finished
            if e.quality
        }

    def pair(self, subject: str, reference: str) -> Pair | None:
        """Return the comparison of two finished experiments; None if one was not finished."""
        first, second = self.done(subject), self.done(reference)
        if first is None or second is None:
            return None
        labels = self.results.dataset["labels"]
        return pair_of(first, second, self._speeds.get((subject, reference)), labels)

    @cached_property
    def _speeds(self) -> dict[tuple[str, str], Comparison]:
        compare = compare_all if self.in_turns else compare_apart
        found = compare(list(self.times.items()))
        both = [*found, *(each.inverse() for each in found)]
        return {(each.subject, each.reference): each for each in both}


def pair_of(
    subject: ExperimentResult,
    reference: ExperimentResult,
    speed: Comparison | None,
    labels: Sequence[int] | None,
) -> Pair:
    """Return all that can be said of two experiments.

    ``labels`` are those of the data that both were evaluated on, None if they were not on the same.
    """
    accuracy = None
    if subject.quality and reference.quality and labels is not None:
        accuracy = versus(subject.quality.predictions, reference.quality.predictions, labels)
    sizes = subject.loaded_bytes, reference.loaded_bytes
    return Pair(
        subject=subject,
        reference=reference,
        speed=speed,
        accuracy=accuracy,
        size_ratio=sizes[0] / sizes[1] if sizes[0] and sizes[1] else None,
        identical=subject.library_sha256 is not None
        and subject.library_sha256 == reference.library_sha256,
    )


def _right(experiment: ExperimentResult, labels: Sequence[int]) -> int:
    assert experiment.quality is not None
    return sum(p == t for p, t in zip(experiment.quality.predictions, labels, strict=True))
