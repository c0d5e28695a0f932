"""Take a tester over a data set: time every inference, then judge all predictions."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assay.errors import InputError
from assay.lab.results import ExperimentResult, Quality, Timing

if TYPE_CHECKING:
    from assay.lab.testers import ModelTester

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Evaluation:
    """What one pass over the data found: how right, and how fast."""

    quality: Quality
    timing: Timing


def evaluate_tester(
    tester: ModelTester, fraction: float = 1.0, progress: Progress | None = None
) -> Evaluation:
    """Run every example of a class-balanced fraction of the tester's data set through its model.

    Only ``run_inference`` is timed; the first run is kept apart from the rest. ``progress`` is
    called with the number of examples done and to do.
    """
    import numpy as np

    from assay.datasets.subset import Subset
    from assay.quality.metrics import evaluate
    from assay.timing.statistics import summarize

    data = Subset(tester.dataset, fraction)
    scores, labels, times = [], [], []
    for index in range(len(data)):
        example = data[index]
        tester.preprocess_input(example.data)
        started = time.perf_counter_ns()
        tester.run_inference()
        times.append((time.perf_counter_ns() - started) / 1e6)
        scores.append(tester.postprocess_outputs())
        labels.append(example.label)
        if progress is not None:
            progress(index + 1, len(data))
    _check_classes(len(scores[0]), tester.dataset.classes)
    quality = evaluate(np.stack(scores), np.asarray(labels))
    return Evaluation(quality, summarize(times[1:] or times, first_ms=times[0]))


def _check_classes(outputs: int, classes: Sequence[str]) -> None:
    if outputs != len(classes):
        raise InputError(
            f"the model has {outputs} outputs and the data set {len(classes)} classes: evaluate "
            "it on the data it was trained for"
        )


def write_evaluation(
    evaluation: Evaluation, classes: Sequence[str], directory: Path, prefix: str
) -> None:
    """Write metrics and confusion matrix as ``<prefix>-metrics.md`` and ``….png``."""
    from assay.report.summary import write_experiment

    result = ExperimentResult(
        name=prefix,
        title=prefix,
        status="done",
        fingerprint="",
        runtime="",
        precision="",
        quality=evaluation.quality,
        timing=evaluation.timing,
    )
    write_experiment(result, classes, directory)
