"""Whether a new measurement is slower than an old one allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from assay.errors import ConfigError
from assay.timing.compare import Comparison, Launches, compare_unpaired
from assay.timing.record import Bench, Contender
from assay.timing.store import Earlier

Finding = Literal["too slow", "fast enough", "cannot tell"]


@dataclass(frozen=True)
class Gate:
    """What to hold a measurement against.

    With a ``yardstick``, the label of a contender that is in both, times are taken relative to its
    times, round by round: that cancels how fast the machine was on the day.
    """

    earlier: Earlier
    max_slowdown: float = 1.05
    yardstick: str | None = None


@dataclass(frozen=True)
class Gated:
    """One contender now over before. Only one that ``decides``, a build of assay, can fail."""

    comparison: Comparison
    finding: Finding
    decides: bool


def check_gate(
    gate: Gate, contenders: Sequence[Contender], threads: int, cpu: str
) -> tuple[str, ...]:
    """Return the labels that can be compared; ConfigError if the old file does not fit at all."""
    earlier = gate.earlier
    if not gate.max_slowdown >= 1:
        raise ConfigError(f"max-slowdown is {gate.max_slowdown:g}; give 1 or more, such as 1.05")
    if (earlier.cpu, earlier.threads) != (cpu, threads):
        raise ConfigError(
            f"{earlier.path} was measured on {earlier.cpu} with {earlier.threads} thread(s), not "
            f"on {cpu} with {threads}: measure the old state here"
        )
    common = []
    for contender in contenders:
        before = earlier.contenders.get(contender.label)
        if before is None or contender.skip is not None:
            continue
        if before.model_sha256 != contender.model_sha256:
            raise ConfigError(
                f"{earlier.path}: {contender.label} was another model: measure the old state of "
                "this one"
            )
        common.append(contender.label)
    if not any(each.is_build and each.label in common for each in contenders):
        known = ", ".join(earlier.contenders) or "nothing"
        raise ConfigError(f"{earlier.path} holds no build of assay that is timed now, but {known}")
    if gate.yardstick is not None and gate.yardstick not in common:
        raise ConfigError(f"yardstick {gate.yardstick!r} is not in both: {', '.join(common)} are")
    return tuple(common)


def hold_against(gate: Gate, bench: Bench) -> tuple[Gated, ...]:
    """Compare every contender that came through both times.

    It is too slow if even the low end of the interval of new over old exceeds what is allowed, and
    fast enough if the high end does not. The two were not interleaved, so without a yardstick the
    interval knows nothing of what changed on the machine in between.
    """
    old: dict[str, Launches] = {k: v.values_ms for k, v in gate.earlier.contenders.items()}
    new: dict[str, Launches] = {each.contender.label: each.values_ms for each in bench.timed}
    if gate.yardstick is not None:
        if gate.yardstick not in new:
            raise ConfigError(f"yardstick {gate.yardstick!r} could not be timed: take another")
        old, new = (_relative(times, gate.yardstick) for times in (old, new))
    found = []
    for outcome in bench.timed:
        label = outcome.contender.label
        if label in old and label != gate.yardstick:
            comparison = compare_unpaired(label, new[label], old[label], bench.settings.seed)
            finding = judge(comparison, gate.max_slowdown)
            found.append(Gated(comparison, finding, outcome.contender.is_build))
    return tuple(found)


def _relative(times: dict[str, Launches], yardstick: str) -> dict[str, Launches]:
    """Divide every round's value by the yardstick's of the same round."""
    return {
        label: [
            [value / scale for value, scale in zip(rounds, scales, strict=True)]
            for rounds, scales in zip(launches, times[yardstick], strict=True)
        ]
        for label, launches in times.items()
    }


def judge(comparison: Comparison, max_slowdown: float) -> Finding:
    """Say whether the interval lies beyond, within, or across what is allowed."""
    if comparison.low > max_slowdown:
        return "too slow"
    return "fast enough" if comparison.high <= max_slowdown else "cannot tell"
