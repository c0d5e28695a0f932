"""Markdown pages from results, through the templates beside this module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from assay.lab.findings import BuildLog
from assay.lab.layerwise import GroupTimes, LayerTable
from assay.lab.results import ExperimentResult
from assay.lab.sentences import pair_sentences
from assay.report import text
from assay.report.content import Content, model_hashes
from assay.report.figure import shorten
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
    text.mebibytes,
    text.one_line,
    text.fact,
    text.markdown,
    text.code,
    text.code_block,
    outcome,
    pair_sentences,
    shorten,
)

LOGGED = (
    "tvm-fp32-nhwc",
    "tvm-int8",
    "tvm-int8-fixed",
    "tvm-stock-fp32-nhwc",
    "tvm-stock-int8-nhwc",
)
"""The builds whose logs a summary holds: NHWC, INT8 before and after the fix, TVM's own."""

_MOST_LAYERS = 15

# Parts of the audit that have a section of their own.
_ELSEWHERE = ("machine", "versions", "warnings")


def experiment_markdown(experiment: ExperimentResult) -> str:
    """Return the page of one experiment; it links to its confusion matrix in the same directory."""
    template = _environment().get_template("metrics.md.j2")
    return template.render(e=experiment, image=confusion_matrix_name(experiment.name))


def report_markdown(
    found: Content,
    plots: Mapping[str, str],
    images: Mapping[str, str],
    differences: Mapping[str, str],
) -> str:
    """Return the report on all experiments.

    ``plots`` are paths of images by the name of what they show, ``images`` those of confusion
    matrices, ``differences`` those of their differences to the reference's, both by experiment; all
    are relative to the page.
    """
    return _render(found, plots, images, differences, found.logs)


def summary_markdown(
    found: Content,
    plots: Mapping[str, str],
    images: Mapping[str, str],
    differences: Mapping[str, str],
) -> str:
    """Return the report with the logs of those builds only that the lab asks about."""
    logs = [log for log in found.logs if log.experiment.name in LOGGED]
    return _render(found, plots, images, differences, logs or found.logs)


def _render(
    found: Content,
    plots: Mapping[str, str],
    images: Mapping[str, str],
    differences: Mapping[str, str],
    logs: Sequence[BuildLog],
) -> str:
    results = found.results
    dataset = {k: v for k, v in results.dataset.items() if k not in ("classes", "labels")}
    audit = results.turns.audit if results.turns else {}
    return (
        _environment()
        .get_template("report.md.j2")
        .render(
            c=found,
            results=results,
            comparison=comparison_markdown(results),
            plots=plots,
            conditions={"Begun": results.created, "Threads": results.threads},
            dataset={**dataset, "classes": len(results.dataset["classes"])},
            fairness={k: v for k, v in audit.items() if k not in _ELSEWHERE},
            models=model_hashes(results),
            measured=[row.experiment for row in found.rows],
            images=images,
            differences=differences,
            logs=logs,
            kinds={c.id: c for r in reversed(found.remarks) for c in reversed(r.causes)},
            layers=_longest(found.layers),
        )
    )


def _longest(table: LayerTable | None) -> list[tuple[int, GroupTimes]]:
    """Return the groups of layers that differ most, with their numbers, in order."""
    if table is None:
        return []
    numbered = list(enumerate(table.groups, 1))
    numbered.sort(key=lambda each: -abs(each[1].subject.ms - each[1].reference.ms))
    return sorted(numbered[:_MOST_LAYERS], key=lambda each: each[0])


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
