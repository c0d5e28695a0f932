"""Time all finished experiments in turns, so that what differs between them is not the hour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from assay.errors import TimingError
from assay.lab.codec import plain
from assay.lab.inputs import Lab
from assay.lab.results import ExperimentResult, Turns

if TYPE_CHECKING:
    from assay.timing.record import Settings
    from assay.timing.session import Watch

# What a launch takes beside inferences, about: a process, TVM's import, a model's load.
_START_S = 2.0
_WARM_UP_RUNS = 5
# Below these ``assay.timing.checks`` raises doubt.
_FEWEST_LAUNCHES = 5
_FEWEST_ROUNDS = 20


def timing_settings(lab: Lab) -> Settings | None:
    """Return how to time in turns, None if not at all; ConfigError if it cannot be."""
    from assay.timing.cores import choose_cores
    from assay.timing.record import Settings

    if lab.launches == 0:
        return None
    return Settings(
        threads=lab.threads,
        launches=lab.launches,
        rounds=lab.rounds,
        min_time_s=lab.min_time_s,
        cores=choose_cores(lab.threads),
    )


def bounded(lab: Lab, done: Sequence[ExperimentResult]) -> tuple[int, int]:
    """Return how many launches and rounds fit into ``lab.turns_s``, as judged by the evaluation.

    At most those asked for; at least 5 launches and 20 rounds of these, below which the times could
    not be relied on, whatever that takes.
    """
    times_s = [each.timing.median_ms / 1e3 for each in done if each.timing]
    launch_s = sum(_START_S + _WARM_UP_RUNS * each for each in times_s)
    round_s = sum(each + max(each, lab.min_time_s) for each in times_s)
    part = min(1.0, lab.turns_s / max(lab.launches * launch_s + lab.rounds * round_s, 1e-9))
    launches = max(int(part * lab.launches), min(_FEWEST_LAUNCHES, lab.launches))
    return launches, max(int(part * lab.rounds), min(_FEWEST_ROUNDS, lab.rounds), launches)


def library_path(lab: Lab, model: Path, experiment: str) -> Path:
    """Return where an experiment's compiled library goes."""
    return lab.results_path / f"{model.stem}.{experiment}.so"


def take_turns(lab: Lab, experiments: Sequence[ExperimentResult], watch: Watch) -> Turns | None:
    """Time the finished ones among the experiments; None if there are none or nobody came through.

    Each runs in processes of its own, pinned to the same cores, on the same random inputs (see
    :func:`assay.timing.session.run_bench`).
    """
    from assay.timing.record import Contender
    from assay.timing.session import run_bench

    settings = timing_settings(lab)
    done = [experiment for experiment in experiments if experiment.status == "done"]
    if settings is None or not done:
        return None
    launches, rounds = bounded(lab, done)
    settings = replace(settings, launches=launches, rounds=rounds)
    models = {str(kind): path for kind, path in lab.models.items()}
    contenders = [
        Contender(each.name, each.precision, each.runtime, models[each.precision])
        if each.config is None
        else Contender(
            each.name, each.precision, "tvm", library_path(lab, models[each.precision], each.name)
        )
        for each in done
    ]
    try:
        bench = run_bench(contenders, settings, watch, scratch=lab.results_path)
    except TimingError:
        return None
    return Turns(
        launches=settings.launches,
        rounds=settings.rounds,
        min_time_s=settings.min_time_s,
        audit=plain(asdict(bench.audit)),
        rounds_ms={each.contender.label: each.values_ms for each in bench.timed},
        failures={
            each.contender.label: each.reason or "" for each in bench.outcomes if each.reason
        },
    )


def cover(turns: Turns | None, lab: Lab, experiments: Sequence[ExperimentResult]) -> bool:
    """Tell whether earlier turns were taken by all these experiments, in the way asked for now."""
    finished = [experiment for experiment in experiments if experiment.status == "done"]
    done = {experiment.name for experiment in finished}
    if turns is None:
        return lab.launches == 0 or not done
    asked = (*bounded(lab, finished), lab.min_time_s)
    alike = lab.launches == 0 or (turns.launches, turns.rounds, turns.min_time_s) == asked
    return alike and done == turns.rounds_ms.keys() | turns.failures.keys()
