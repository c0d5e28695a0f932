"""What a report shows, in its order: rows and sentences taken from the results, for any format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from assay.lab.findings import BuildLog, Remarks, build_logs, remarks
from assay.lab.layerwise import LayerTable, layer_table
from assay.lab.questions import Answer, answers
from assay.lab.results import ExperimentResult, Quality, Results
from assay.lab.verdict import Verdict, verdict
from assay.lab.versus import Evidence, Latency, Pair
from assay.quality.intervals import Share
from assay.report.layers import telling_pair

_MOST_CONFUSED = 10


@dataclass(frozen=True)
class Row:
    """One finished experiment beside the reference; what was not measured is None."""

    experiment: ExperimentResult
    latency: Latency | None
    accuracy: Share | None
    against: Pair | None


@dataclass(frozen=True)
class Confusion:
    """``count`` samples of class ``true`` that were taken for class ``predicted``."""

    true: str
    predicted: str
    count: int


@dataclass(frozen=True)
class Matrix:
    """The confusion matrix of an experiment and how it differs from the reference's.

    ``difference`` is None for the reference itself, else int counts [classes][classes], its own
    minus the reference's.
    """

    experiment: ExperimentResult
    counts: list[list[int]]
    difference: list[list[int]] | None
    confused: tuple[Confusion, ...]


@dataclass(frozen=True)
class Content:
    """A whole report. ``matrices`` has one entry for experiments with equal predictions each.

    ``shown`` are the two experiments that stand for any two, ``layers`` their layers.
    """

    results: Results
    in_turns: bool
    reference: str | None
    verdict: Verdict
    rows: tuple[Row, ...]
    unmeasured: tuple[ExperimentResult, ...]
    answers: tuple[Answer, ...]
    pairs: tuple[Pair, ...]
    shown: Pair | None
    layers: LayerTable | None
    remarks: tuple[Remarks, ...]
    matrices: tuple[Matrix, ...]
    alike: dict[str, tuple[str, ...]]
    logs: tuple[BuildLog, ...]


def content(results: Results) -> Content:
    """Gather everything that a report of these results shows."""
    evidence = Evidence(results)
    reference = evidence.reference
    name = reference.name if reference else None
    names = [experiment.name for experiment in evidence.finished]
    found = (evidence.pair(a, b) for a in names for b in names if a != b)
    pairs = tuple(filter(None, found))
    judged = verdict(evidence)
    shown = telling_pair(pairs, judged.choice.name if judged.choice else None, name)
    matrices, alike = _matrices(evidence)
    return Content(
        results=results,
        in_turns=evidence.in_turns,
        reference=name,
        verdict=judged,
        rows=tuple(_row(evidence, e, name) for e in evidence.finished),
        unmeasured=tuple(e for e in results.experiments if e.status != "done"),
        answers=answers(evidence),
        pairs=pairs,
        shown=shown,
        layers=layer_table(shown.subject, shown.reference) if shown else None,
        remarks=remarks(results.experiments),
        matrices=matrices,
        alike=alike,
        logs=build_logs(results.experiments),
    )


def most_confused(quality: Quality, classes: Sequence[str]) -> tuple[Confusion, ...]:
    """Return the pairs of classes confused most often, at most ten; equal ones by class index."""
    cells = [
        (-count, true, predicted)
        for true, row in enumerate(quality.confusion_matrix)
        for predicted, count in enumerate(row)
        if count and true != predicted
    ]
    return tuple(
        Confusion(class_name(classes, true), class_name(classes, predicted), -count)
        for count, true, predicted in sorted(cells)[:_MOST_CONFUSED]
    )


def model_hashes(results: Results) -> dict[str, str]:
    """Return the SHA-256 of each model file that was run, by the file's name."""
    models = [e.model for e in results.experiments if e.model]
    return {str(m["name"]): str(m["sha256"]) for m in models if "name" in m and "sha256" in m}


def class_name(classes: Sequence[str], index: int) -> str:
    """Return a class's name, or its index if it has none."""
    return classes[index] if index < len(classes) else str(index)


def _row(evidence: Evidence, experiment: ExperimentResult, reference: str | None) -> Row:
    name = experiment.name
    return Row(
        experiment=experiment,
        latency=evidence.latencies.get(name),
        accuracy=evidence.accuracies.get(name),
        against=evidence.pair(name, reference) if reference and name != reference else None,
    )


def _matrices(evidence: Evidence) -> tuple[tuple[Matrix, ...], dict[str, tuple[str, ...]]]:
    """Return a matrix for each distinct list of predictions, and whose else it is, by name."""
    classes = evidence.results.dataset["classes"]
    reference = evidence.reference
    base = reference.quality.confusion_matrix if reference and reference.quality else None
    judged = [e for e in evidence.finished if e.quality]
    judged.sort(key=lambda e: e is not reference)
    groups: dict[tuple[int, ...], list[ExperimentResult]] = {}
    for experiment in judged:
        assert experiment.quality is not None
        groups.setdefault(tuple(experiment.quality.predictions), []).append(experiment)
    matrices = []
    for first, *_ in groups.values():
        assert first.quality is not None
        counts = first.quality.confusion_matrix
        apart = first is not reference and base is not None and len(base) == len(counts)
        matrices.append(
            Matrix(
                first,
                counts,
                _minus(counts, base) if apart and base else None,
                most_confused(first.quality, classes),
            )
        )
    alike = {group[0].name: tuple(e.name for e in group[1:]) for group in groups.values()}
    return tuple(matrices), alike


def _minus(counts: list[list[int]], base: list[list[int]]) -> list[list[int]]:
    return [
        [a - b for a, b in zip(row, other, strict=True)]
        for row, other in zip(counts, base, strict=True)
    ]
