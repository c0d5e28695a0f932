"""Names of the files that a report consists of, all relative to its directory."""

from __future__ import annotations

LATENCY = "img/latency.png"
ACCURACY_VS_LATENCY = "img/accuracy-vs-latency.png"
SIZES = "img/sizes.png"

PAGE = "report.md"
HTML = "report.html"


def summary_matrix_name(experiment: str) -> str:
    """Return the name of an experiment's confusion matrix in a summary."""
    return f"img/confusion-{experiment}.png"


def metrics_name(experiment: str) -> str:
    """Return the name of an experiment's page."""
    return f"{experiment}-metrics.md"


def confusion_matrix_name(experiment: str) -> str:
    """Return the name of an experiment's confusion matrix."""
    return f"{experiment}-confusion-matrix.png"


def difference_matrix_name(experiment: str) -> str:
    """Return the name of how an experiment's confusion matrix differs from the reference's."""
    return f"{experiment}-difference-matrix.png"


def summary_difference_name(experiment: str) -> str:
    """Return the name of such a difference in a summary."""
    return f"img/difference-{experiment}.png"
