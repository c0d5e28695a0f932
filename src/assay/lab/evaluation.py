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
    import numpy as np
    import numpy.typing as npt

    from assay.lab.testers import ModelTester

    Floats = npt.NDArray[np.float32]

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
    called with the number of examples done and to do. ConfigError if the fraction is out of range,
    InputError if there is no example or the model's scores do not fit the classes.
    """
    import numpy as np

    from assay.datasets.subset import Subset
    from assay.quality.metrics import evaluate
    from assay.timing.statistics import summarize

    data = Subset(tester.dataset, fraction)
    if not len(data):
        raise InputError(f"data set {data.name!r} has no example: give one that does")
    scores, labels, times = [], [], []
    for index in range(len(data)):
        example = data[index]
        time_ms, row = _infer(tester, example.data)
        times.append(time_ms)
        scores.append(row)
        labels.append(example.label)
        if progress is not None:
            progress(index + 1, len(data))
    quality = evaluate(np.stack(scores), np.asarray(labels))
    return Evaluation(quality, summarize(times[1:] or times, first_ms=times[0]))


def _infer(tester: ModelTester, data: Floats) -> tuple[float, Floats]:
    """Return how long one inference took, in ms, and its scores, one for each class."""
    import numpy as np

    tester.preprocess_input(data)
    started = time.perf_counter_ns()
    tester.run_inference()
    time_ms = (time.perf_counter_ns() - started) / 1e6
    scores = np.asarray(tester.postprocess_outputs()).reshape(-1)
    classes = len(tester.dataset.classes)
    if scores.size != classes:
        raise InputError(
            f"{tester.modelpath} has {scores.size} outputs, but data set {tester.dataset.name!r} "
            f"has {classes} classes: give a model trained on that data"
        )
    return time_ms, scores


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
