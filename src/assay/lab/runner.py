"""Carry out a plan: what is finished is kept, what is left is run, each step is saved."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from assay.errors import ResultsError
from assay.lab.child import run_in_child
from assay.lab.plan import Experiment, ModelKind
from assay.lab.results import ExperimentResult, Results
from assay.lab.store import load, save
from assay.lab.worker import Task

if TYPE_CHECKING:
    from assay.datasets.base import Dataset
    from assay.model.facts import Model


@dataclass(frozen=True)
class Lab:
    """The inputs of a run. ``dataset`` is what ``open_dataset`` takes, ``fraction`` in (0, 1]."""

    models: dict[ModelKind, Path]
    dataset: str
    results_path: Path
    experiments: tuple[Experiment, ...]
    fraction: float = 1.0
    threads: int = 1
    command: str = ""


class Monitor(Protocol):
    """Told what happens, for whoever shows it."""

    def kept(self, result: ExperimentResult) -> None:
        """Take note of an experiment that an earlier run finished."""

    def working(self, name: str, stage: str, done: int, total: int) -> None:
        """Take note of a step inside an experiment."""

    def finished(self, result: ExperimentResult) -> None:
        """Take note of an experiment that ended, well or not."""


def run_lab(lab: Lab, monitor: Monitor) -> Results:
    """Run all experiments that an earlier run with the same inputs has not finished.

    Everything the user gave is checked before anything is written: ModelError, DatasetError,
    TargetError, ConfigError, ResultsError. After each experiment ``results.json`` and its own
    files are written; an interruption loses the one under way, and the next call goes on there.
    """
    from assay.report.summary import write_experiment, write_report

    models, dataset = _open_inputs(lab)
    results = _frame(lab, dataset)
    earlier = _earlier(results, lab.results_path)
    finished: dict[str, ExperimentResult] = {}
    _make_directory(lab.results_path)
    for experiment in lab.experiments:
        mark = fingerprint(experiment, models[experiment.model].sha256, results)
        known = earlier.get(experiment.name)
        if known is not None and known.status == "done" and known.fingerprint == mark:
            finished[experiment.name] = known
            monitor.kept(known)
            continue
        result = _run(lab, experiment, mark, monitor)
        finished[experiment.name] = result
        results = replace(results, experiments=_in_order(lab.experiments, finished, earlier))
        save(results, lab.results_path / "results.json")
        write_experiment(result, dataset.classes, lab.results_path)
        monitor.finished(result)
    results = replace(results, experiments=_in_order(lab.experiments, finished, earlier))
    save(results, lab.results_path / "results.json")
    write_report(results, lab.results_path)
    return results


def fingerprint(experiment: Experiment, model_sha256: str, results: Results) -> str:
    """Return a hash of all that an experiment's result depends on."""
    inputs = {
        "experiment": experiment.as_dict(),
        "model": model_sha256,
        "dataset": {k: v for k, v in results.dataset.items() if k not in ("labels", "classes")},
        "threads": results.threads,
        "versions": results.versions,
        "cpu": results.machine["cpu"],
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def _open_inputs(lab: Lab) -> tuple[dict[ModelKind, Model], Dataset]:
    from assay.compiler.target import resolve_target
    from assay.datasets.registry import open_dataset
    from assay.datasets.subset import Subset
    from assay.model.reader import read
    from assay.runtimes.checks import check_threads

    check_threads(lab.threads)
    models = {kind: read(path) for kind, path in lab.models.items()}
    for config in {e.config for e in lab.experiments if e.config is not None}:
        resolve_target(config.target)
        if config.target_host is not None:
            resolve_target(config.target_host)
    return models, Subset(open_dataset(lab.dataset), lab.fraction)


def _earlier(results: Results, results_path: Path) -> dict[str, ExperimentResult]:
    """Return what an earlier run left, if it was on the same data, machine and versions."""
    path = results_path / "results.json"
    if not path.exists():
        return {}
    old = load(path)
    for field in ("dataset", "versions", "threads"):
        if getattr(old, field) != getattr(results, field):
            return {}
    if old.machine.get("cpu") != results.machine["cpu"]:
        return {}
    return {result.name: result for result in old.experiments}


def _frame(lab: Lab, dataset: Any) -> Results:
    from assay.timing.machine import machine_facts, versions

    return Results(
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        command=lab.command,
        machine=machine_facts(),
        versions=versions(),
        dataset={
            **dataset.facts(),
            "name": dataset.name,
            "samples": len(dataset),
            "classes": list(dataset.classes),
            "labels": list(dataset.labels),
        },
        threads=lab.threads,
    )


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultsError(
            f"{path}: no results can be written there ({error.strerror}); give another "
            "--results-path"
        ) from error


def _run(lab: Lab, experiment: Experiment, mark: str, monitor: Monitor) -> ExperimentResult:
    reason = _why_not(experiment, lab.experiments)
    if reason is not None:
        return _skipped(experiment, mark, reason)
    model_path = lab.models[experiment.model]
    task = Task(
        experiment=experiment,
        model_path=model_path.resolve(),
        dataset=lab.dataset,
        fraction=lab.fraction,
        threads=lab.threads,
        artifact=lab.results_path / f"{model_path.stem}.{experiment.name}.so",
        fingerprint=mark,
    )
    log = lab.results_path / f"{experiment.name}.log"
    return run_in_child(
        task,
        log,
        lambda stage, done, total: monitor.working(experiment.name, stage, done, total),
    )


def _why_not(experiment: Experiment, plan: Sequence[Experiment]) -> str | None:
    """Return why an experiment cannot be run here, or need not; None if it can."""
    from assay.timing.cpu import cpu_flags, cpu_model

    if experiment.needs is not None and experiment.needs not in cpu_flags():
        return f"the CPU, {cpu_model()}, has no {experiment.needs.upper()}"
    for other in plan:
        same = other.config == experiment.config and other.model == experiment.model
        if other is not experiment and same and experiment.needs is not None:
            return f"{other.name} is built for the same target already"
    return None


def _skipped(experiment: Experiment, mark: str, reason: str) -> ExperimentResult:
    return ExperimentResult(
        name=experiment.name,
        title=experiment.title,
        status="skipped",
        fingerprint=mark,
        runtime=experiment.runtime,
        precision=experiment.model,
        reason=reason,
        config=None if experiment.config is None else experiment.config.as_dict(),
    )


def _in_order(
    plan: Sequence[Experiment],
    finished: dict[str, ExperimentResult],
    earlier: dict[str, ExperimentResult],
) -> list[ExperimentResult]:
    """Return what the plan has by now, then earlier results that it does not ask for again."""
    planned = [experiment.name for experiment in plan]
    rest = [result for name, result in earlier.items() if name not in planned]
    return [*(finished[name] for name in planned if name in finished), *rest]
