"""Writes a report to a directory: pages, plots, and what belongs to each experiment."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from assay.errors import ResultsError
from assay.lab.results import ExperimentResult, Results
from assay.lab.store import write_text
from assay.report.files import (
    ACCURACY_VS_LATENCY,
    LATENCY,
    SIZES,
    confusion_matrix_name,
    metrics_name,
)
from assay.report.markdown import experiment_markdown, report_markdown
from assay.report.plots import (
    accuracy_vs_latency_png,
    confusion_matrix_png,
    latency_png,
    sizes_png,
)

_PLOTS = (
    ("Latency of each experiment", LATENCY, latency_png),
    ("Accuracy over latency", ACCURACY_VS_LATENCY, accuracy_vs_latency_png),
    ("Size of each model and compiled library", SIZES, sizes_png),
)


def write_report(
    results: Results, directory: str | os.PathLike[str], name: str = "report.md"
) -> Path:
    """Write the whole report to ``directory``, made if needed, and return the path of its page.

    The page is called ``name``; beside it lie each experiment's own files (``write_experiment``)
    and, in ``img/``, the plots. A plot without anything to show is left out, and removed if an
    earlier report left one. ResultsError if a file cannot be written.
    """
    root = Path(directory)
    plots = []
    for caption, image, draw in _PLOTS:
        if draw(results, root / image):
            plots.append((caption, image))
        else:
            _remove(root / image)
    for experiment in results.experiments:
        write_experiment(experiment, results.dataset["classes"], root)
    page = root / name
    write_text(page, report_markdown(results, plots))
    return page


def write_experiment(
    experiment: ExperimentResult, classes: Sequence[str], directory: str | os.PathLike[str]
) -> None:
    """Write ``<name>-metrics.md`` and ``<name>-confusion-matrix.png`` of one experiment.

    ``classes`` are the names of the data set's classes. An experiment without quality has no
    matrix; one that an earlier run left is removed. ResultsError if a file cannot be written.
    """
    root = Path(directory)
    matrix = root / confusion_matrix_name(experiment.name)
    if experiment.quality is None:
        _remove(matrix)
    else:
        confusion_matrix_png(experiment.quality, classes, matrix, title=experiment.name)
    write_text(root / metrics_name(experiment.name), experiment_markdown(experiment))


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise ResultsError(
            f"{path} cannot be removed ({error.strerror}): choose another directory"
        ) from error
