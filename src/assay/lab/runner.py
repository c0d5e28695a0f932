"""Carry out a plan: what is finished is kept, what is left is run, each step is saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Protocol

from assay.lab.child import run_in_child
from assay.lab.codec import plain
from assay.lab.earlier import fingerprint, still_valid, turns_before
from assay.lab.folder import claim
from assay.lab.inputs import Inputs, Lab, open_inputs, why_not
from assay.lab.layers import priced
from assay.lab.plan import Experiment
from assay.lab.results import ExperimentResult, Results, Turns
from assay.lab.store import save
from assay.lab.turns import cover, library_path, take_turns
from assay.lab.worker import Task


class Monitor(Protocol):
    """Told what happens, for whoever shows it."""

    def set_aside(self, copy: Path) -> None:
        """Take note of where the results of other inputs went."""

    def kept(self, result: ExperimentResult) -> None:
        """Take note of an experiment that an earlier run finished."""

    def working(self, name: str, stage: str, done: int, total: int) -> None:
        """Take note of a step inside an experiment."""

    def finished(self, result: ExperimentResult) -> None:
        """Take note of an experiment that ended, well or not."""


def run_lab(lab: Lab, monitor: Monitor) -> Results:
    """Run all experiments that an earlier run with the same inputs has not finished.

    Everything the user gave is checked before anything is written: see ``open_inputs``, and
    ResultsError if there are results that cannot be read. After each experiment ``results.json``
    and its own files are written; an interruption loses the one under way, and the next call goes
    on there. In the end the finished ones are timed in turns, unless an earlier run did that. An
    experiment that cannot be carried out is a result, too; DatasetError only for data that cannot
    be decoded.
    """
    inputs = open_inputs(lab)
    with claim(lab.results_path):
        return _carry_out(lab, inputs, monitor)


def _carry_out(lab: Lab, inputs: Inputs, monitor: Monitor) -> Results:
    from assay.report.summary import write_experiment, write_report

    file = lab.results_path / "results.json"
    results = _frame(lab, inputs)
    models = {kind: model.sha256 for kind, model in inputs.models.items()}
    marks = {e.name: fingerprint(e, models[e.model], results) for e in lab.experiments}
    found, copy = still_valid(file, results, models, marks)
    turns = turns_before(file)
    if copy is not None:
        monitor.set_aside(copy)
    for experiment in lab.experiments:
        if experiment.name in found:
            monitor.kept(found[experiment.name])
            continue
        result = _run(lab, experiment, marks[experiment.name], monitor)
        if result.status == "done":
            turns = None  # it was not among those that took turns
        found[experiment.name] = result
        results = replace(results, experiments=_in_order(lab.experiments, found))
        save(results, file)
        write_experiment(result, inputs.dataset.classes, lab.results_path)
        monitor.finished(result)
    experiments = priced(_in_order(lab.experiments, found))
    results = replace(results, experiments=experiments, turns=turns)
    if not cover(turns, lab, results.experiments):
        results = replace(results, turns=_take_turns(lab, results, monitor))
    save(results, file)
    write_report(results, lab.results_path)
    return results


def _frame(lab: Lab, inputs: Inputs) -> Results:
    from assay.timing.machine import machine_facts, versions

    dataset = inputs.dataset
    return Results(
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        command=lab.command,
        machine=machine_facts(),
        versions=versions(),
        dataset={
            **plain(dataset.facts()),
            "name": dataset.name,
            "samples": len(dataset),
            "classes": list(dataset.classes),
            "labels": list(dataset.labels),
        },
        threads=lab.threads,
    )


def _run(lab: Lab, experiment: Experiment, mark: str, monitor: Monitor) -> ExperimentResult:
    reason = why_not(experiment, lab.experiments)
    if reason is not None:
        return experiment.unmeasured("skipped", reason, mark)
    model_path = lab.models[experiment.model]
    task = Task(
        experiment=experiment,
        model_path=model_path.resolve(),
        dataset=lab.dataset,
        fraction=lab.fraction,
        threads=lab.threads,
        artifact=library_path(lab, model_path, experiment.name),
        fingerprint=mark,
    )
    return run_in_child(
        task,
        lab.results_path / f"{experiment.name}.log",
        lambda stage, done, total: monitor.working(experiment.name, stage, done, total),
    )


def _take_turns(lab: Lab, results: Results, monitor: Monitor) -> Turns | None:
    return take_turns(
        lab,
        results.experiments,
        lambda done, total: monitor.working("all", "timing in turns", done, total),
    )


def _in_order(
    plan: Sequence[Experiment], found: Mapping[str, ExperimentResult]
) -> list[ExperimentResult]:
    """Return what the plan has by now, then earlier results that it does not ask for."""
    planned = [experiment.name for experiment in plan]
    rest = [result for name, result in found.items() if name not in planned]
    return [*(found[name] for name in planned if name in found), *rest]
