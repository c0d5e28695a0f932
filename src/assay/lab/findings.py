"""What builds found about themselves: remarks taken together with their costs, lines of logs."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.lab.results import ExperimentResult


@dataclass(frozen=True)
class Cause:
    """Equal remarks of one build: how many, and what they cost together, None if not measured.

    ``op`` is the kind of operator that they are about, '' for the whole build.
    """

    id: str
    op: str
    evidence: str
    why: str
    advice: str
    count: int
    cost_ms: float | None

    @property
    def line(self) -> str:
        """The line of the build's log."""
        return f"[{self.id.partition('/')[0]}] {self.evidence}"


@dataclass(frozen=True)
class Remarks:
    """The causes of one build, the costliest first, and what they explain of its difference.

    ``difference_ms`` is what a profiled inference takes more than that of ``costs_against``; both
    are None where nothing was measured, or where the build is the best one.
    """

    experiment: ExperimentResult
    causes: tuple[Cause, ...]
    explained_ms: float | None
    difference_ms: float | None


@dataclass(frozen=True)
class LogLine:
    """A distinct line of a build's log, how often it occurs, and the cause that it tells of."""

    text: str
    count: int
    cause: Cause | None


@dataclass(frozen=True)
class BuildLog:
    """The distinct lines of a build's log, in its order: equal builds have equal ones."""

    experiment: ExperimentResult
    lines: tuple[LogLine, ...]

    @property
    def causes(self) -> tuple[LogLine, ...]:
        """The lines that explain why the build is slow, found by their remarks, by cost."""
        known = [(line, line.cause) for line in self.lines if line.cause]
        return tuple(line for line, cause in sorted(known, key=lambda k: -(k[1].cost_ms or 0.0)))

    @property
    def others(self) -> tuple[LogLine, ...]:
        """The lines that do not."""
        return tuple(line for line in self.lines if not line.cause)


def remarks(experiments: Sequence[ExperimentResult]) -> tuple[Remarks, ...]:
    """Return the causes of each build that recorded what it found."""
    by_name = {experiment.name: experiment for experiment in experiments}
    found = []
    for experiment in experiments:
        if experiment.status != "done" or experiment.remarks is None:
            continue
        grouped = causes(experiment.remarks)
        rival = by_name.get(experiment.costs_against or "")
        ours, theirs = experiment.layer_times, rival.layer_times if rival else None
        measured = ours is not None and theirs is not None
        found.append(
            Remarks(
                experiment,
                grouped,
                sum(cause.cost_ms or 0.0 for cause in grouped) if measured else None,
                ours.total_ms - theirs.total_ms if ours and theirs else None,
            )
        )
    return tuple(found)


def causes(found: Sequence[dict[str, Any]]) -> tuple[Cause, ...]:
    """Take equal remarks together, the costliest first, then in the order of the log."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for remark in found:
        groups[remark["id"], remark["evidence"]].append(remark)
    grouped = []
    for (id_, evidence), group in groups.items():
        costs = [r["cost_ms"] for r in group if r.get("cost_ms") is not None]
        first = group[0]
        grouped.append(
            Cause(
                id=id_,
                op=first.get("op", ""),
                evidence=evidence,
                why=first.get("why", ""),
                advice=first.get("advice", ""),
                count=len(group),
                cost_ms=sum(costs) if costs else None,
            )
        )
    return tuple(sorted(grouped, key=lambda cause: -(cause.cost_ms or 0.0)))


def build_logs(experiments: Sequence[ExperimentResult]) -> tuple[BuildLog, ...]:
    """Return the log of each build; results that hold no log have the lines of its remarks."""
    found = []
    for experiment in experiments:
        if experiment.status != "done" or experiment.remarks is None:
            continue
        known = {cause.line: cause for cause in causes(experiment.remarks)}
        told = {line: cause.count for line, cause in known.items()}
        counts = told if experiment.log_lines is None else _timeless(experiment.log_lines)
        lines = tuple(LogLine(line, n, known.get(line)) for line, n in counts.items())
        found.append(BuildLog(experiment, lines))
    return tuple(found)


def _timeless(counts: Mapping[str, int]) -> Counter[str]:
    """Return lines without the time that a pass took, which differs from build to build."""
    found: Counter[str] = Counter()
    for line, count in counts.items():
        found[re.sub(r"^(\[pass\] .*) \(\d+ ms\)$", r"\1", line)] += count
    return found
