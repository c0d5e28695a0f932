"""What an earlier run left in the results directory, and which of it still holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from assay.lab.plan import Experiment, ModelKind
from assay.lab.results import ExperimentResult, Results, Turns
from assay.lab.store import load, save


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


def still_valid(
    path: Path, results: Results, models: Mapping[ModelKind, str], marks: Mapping[str, str]
) -> tuple[dict[str, ExperimentResult], Path | None]:
    """Return the experiments in the file at ``path`` that belong to this run's inputs, by name.

    ``results`` is the run's frame without experiments, ``models`` the SHA-256 of the model files,
    ``marks`` the fingerprints of the plan. An experiment of the plan holds if it was finished with
    the same fingerprint; any other if it was on the same data, machine, versions and model file.
    If a finished one does not hold, the whole file is first copied beside itself, and the copy's
    path is the second value: nothing that was measured is lost. ResultsError if the file cannot be
    read as results.
    """
    if not path.exists():
        return {}, None
    old = load(path)
    valid = {
        experiment.name: experiment
        for experiment in old.experiments
        if _same_frame(old, results) and _holds(experiment, models, marks)
    }
    lost = [e for e in old.experiments if e.status == "done" and e.name not in valid]
    if not lost:
        return valid, None
    copy = path.with_name(f"results-{old.created.replace(':', '')}.json")
    save(old, copy)
    return valid, copy


def turns_before(path: Path) -> Turns | None:
    """Return the turns that the experiments in the file at ``path`` took, if there are any."""
    return load(path).turns if path.exists() else None


def _same_frame(old: Results, new: Results) -> bool:
    return (
        old.dataset == new.dataset
        and old.versions == new.versions
        and old.threads == new.threads
        and old.machine.get("cpu") == new.machine["cpu"]
    )


def _holds(
    experiment: ExperimentResult, models: Mapping[ModelKind, str], marks: Mapping[str, str]
) -> bool:
    if experiment.name in marks:
        return experiment.status == "done" and experiment.fingerprint == marks[experiment.name]
    return experiment.model is None or experiment.model.get("sha256") in models.values()
