"""Writes reports to a directory: pages, plots, and what belongs to each experiment."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from assay.errors import ResultsError
from assay.lab.results import ExperimentResult, Results
from assay.lab.store import write_text
from assay.report.content import Content, content
from assay.report.files import (
    ACCURACY_VS_LATENCY,
    HTML,
    LATENCY,
    PAGE,
    SIZES,
    confusion_matrix_name,
    difference_matrix_name,
    metrics_name,
    summary_difference_name,
    summary_matrix_name,
)
from assay.report.html import report_html
from assay.report.markdown import experiment_markdown, report_markdown, summary_markdown
from assay.report.plots import (
    accuracy_vs_latency_png,
    confusion_matrix_png,
    difference_matrix_png,
    latency_png,
    sizes_png,
)

_PLOTS = (
    ("latency", LATENCY, latency_png),
    ("pareto", ACCURACY_VS_LATENCY, accuracy_vs_latency_png),
    ("sizes", SIZES, sizes_png),
)


def write_report(results: Results, directory: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Write both forms of the report to ``directory``, made if needed; return their paths.

    ``report.html`` needs no other file. Beside ``report.md`` lie each experiment's own files
    (``write_experiment``) and, in ``img/``, the plots. ResultsError if a file cannot be written.
    """
    found = content(results)
    return write_markdown(found, directory), write_html(found, directory)


def write_html(found: Content, directory: str | os.PathLike[str]) -> Path:
    """Write ``report.html`` and return its path; ResultsError if it cannot be written."""
    page = Path(directory) / HTML
    write_text(page, report_html(found))
    return page


def write_markdown(found: Content, directory: str | os.PathLike[str]) -> Path:
    """Write ``report.md`` with its images and return its path.

    A plot without anything to show is left out, and removed if an earlier report left one.
    """
    root = Path(directory)
    results = found.results
    plots = _draw_plots(results, root)
    for experiment in results.experiments:
        write_experiment(experiment, results.dataset["classes"], root)
    images = {e.name: confusion_matrix_name(e.name) for e in results.experiments}
    differences = _draw_differences(found, root, difference_matrix_name)
    page = root / PAGE
    write_text(page, report_markdown(found, plots, images, differences))
    return page


def write_summary(found: Content, directory: str | os.PathLike[str]) -> Path:
    """Write a summary as ``README.md`` with all images in ``img/``: what a repository keeps."""
    root = Path(directory)
    results = found.results
    plots = _draw_plots(results, root)
    images = {e.name: summary_matrix_name(e.name) for e in results.experiments}
    for experiment in results.experiments:
        _draw_matrix(experiment, results.dataset["classes"], root / images[experiment.name])
    differences = _draw_differences(found, root, summary_difference_name)
    page = root / "README.md"
    write_text(page, summary_markdown(found, plots, images, differences))
    return page


def write_experiment(
    experiment: ExperimentResult, classes: Sequence[str], directory: str | os.PathLike[str]
) -> None:
    """Write ``<name>-metrics.md`` and ``<name>-confusion-matrix.png`` of one experiment.

    ``classes`` are the names of the data set's classes. An experiment without quality has no
    matrix; one that an earlier run left is removed. ResultsError if a file cannot be written.
    """
    root = Path(directory)
    _draw_matrix(experiment, classes, root / confusion_matrix_name(experiment.name))
    write_text(root / metrics_name(experiment.name), experiment_markdown(experiment))


def _draw_plots(results: Results, root: Path) -> dict[str, str]:
    """Draw all plots that have something to show; return their paths by name."""
    plots = {}
    for name, image, draw in _PLOTS:
        if draw(results, root / image):
            plots[name] = image
        else:
            _remove(root / image)
    return plots


def _draw_differences(found: Content, root: Path, name: Callable[[str], str]) -> dict[str, str]:
    """Draw how confusion matrices differ from the reference's; return the paths by experiment."""
    different = {m.experiment.name: m.difference for m in found.matrices if m.difference}
    for experiment in found.results.experiments:
        image = root / name(experiment.name)
        difference = different.get(experiment.name)
        if difference is None:
            _remove(image)
        else:
            title = f"{experiment.name} minus {found.reference}"
            difference_matrix_png(difference, found.results.dataset["classes"], image, title)
    return {each: name(each) for each in different}


def _draw_matrix(experiment: ExperimentResult, classes: Sequence[str], image: Path) -> None:
    if experiment.quality is None:
        _remove(image)
    else:
        confusion_matrix_png(experiment.quality, classes, image, title=experiment.name)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise ResultsError(
            f"{path} cannot be removed ({error.strerror}): choose another directory"
        ) from error
