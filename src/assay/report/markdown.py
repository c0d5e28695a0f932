"""Markdown pages from results, through the templates beside this module."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from assay.lab.results import ExperimentResult, Results
from assay.report import text
from assay.report.files import confusion_matrix_name
from assay.report.table import comparison_markdown, outcome

if TYPE_CHECKING:
    from jinja2 import Environment

_FILTERS = (
    text.percent,
    text.milliseconds,
    text.mean_and_std,
    text.seconds,
    text.byte_count,
    text.fact,
    text.markdown,
    text.code,
    text.code_block,
    outcome,
)


def experiment_markdown(experiment: ExperimentResult) -> str:
    """Return the page of one experiment; it links to its confusion matrix in the same directory."""
    template = _environment().get_template("metrics.md.j2")
    return template.render(e=experiment, image=confusion_matrix_name(experiment.name))


def report_markdown(results: Results, plots: Sequence[tuple[str, str]]) -> str:
    """Return the report on all experiments; ``plots`` are (caption, path of the image) pairs."""
    dataset = {k: v for k, v in results.dataset.items() if k not in ("classes", "labels")}
    experiments = results.experiments
    return (
        _environment()
        .get_template("report.md.j2")
        .render(
            results=results,
            comparison=comparison_markdown(results),
            plots=plots,
            conditions={"Begun": results.created, "Threads": results.threads},
            dataset={**dataset, "classes": len(results.dataset["classes"])},
            measured=[e for e in experiments if e.status == "done"],
            unmeasured=[e for e in experiments if e.status != "done"],
            images={e.name: confusion_matrix_name(e.name) for e in experiments},
        )
    )


@lru_cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(  # Markdown, not HTML: the filters escape what has to be
        loader=PackageLoader("assay.report"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update({function.__name__: function for function in _FILTERS})
    return environment
