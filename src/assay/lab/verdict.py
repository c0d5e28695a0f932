"""What to deploy: the fastest that is not measurably less accurate than the reference."""

from __future__ import annotations

from dataclasses import dataclass

from assay.lab.results import ExperimentResult
from assay.lab.sentences import accuracy_sentence, size_sentence, speed_sentence
from assay.lab.versus import Evidence


@dataclass(frozen=True)
class Verdict:
    """The experiment to deploy, None if nothing can be recommended, and why, in sentences."""

    choice: ExperimentResult | None
    sentences: tuple[str, ...]


def verdict(evidence: Evidence) -> Verdict:
    """Choose among experiments with both latency and accuracy, and say what the choice gains.

    Of those that are not measurably slower than the fastest, the smallest file is taken. Measurably
    less accurate than the reference (McNemar) is none of them.
    """
    timed = [e for e in evidence.finished if e.name in evidence.latencies and e.quality]
    reference = evidence.reference
    if not timed or reference is None:
        return Verdict(None, ("No experiment gave both a latency and an accuracy.",))
    good = [e for e in timed if not _worse(evidence, e, reference)]
    fastest = min(good or timed, key=lambda e: evidence.latencies[e.name].ms)
    level = [e for e in good or timed if not _slower(evidence, e, fastest)]
    choice = min(level, key=lambda e: (e.loaded_bytes or 0, evidence.latencies[e.name].ms))
    return Verdict(choice, (_what(evidence, choice, len(level)), *_costs(evidence, choice)))


def _what(evidence: Evidence, choice: ExperimentResult, level: int) -> str:
    time = evidence.latencies[choice.name]
    how = (
        "the fastest"
        if level == 1
        else f"the smallest of {level} that cannot be told from the fastest by speed"
    )
    return (
        f"Deploy {choice.name} ({choice.title}): {how}, at {time.ms:.3f} ms an inference "
        f"(95 % interval {time.low_ms:.3f} to {time.high_ms:.3f})."
    )


def _costs(evidence: Evidence, choice: ExperimentResult) -> tuple[str, ...]:
    reference = evidence.reference
    assert reference is not None
    if choice is reference:
        return ("It is the reference itself.", "No other experiment improves on it.")
    pair = evidence.pair(choice.name, reference.name)
    assert pair is not None
    accuracy = accuracy_sentence(pair).removesuffix(".")
    size = f"; {size_sentence(pair)}" if pair.size_ratio is not None else "."
    return (speed_sentence(pair.speed), f"{accuracy}{size[:2]}{size[2:3].lower()}{size[3:]}")


def _worse(evidence: Evidence, e: ExperimentResult, reference: ExperimentResult) -> bool:
    pair = evidence.pair(e.name, reference.name)
    found = pair.accuracy if pair else None
    return found is not None and found.measurable and found.difference < 0


def _slower(evidence: Evidence, e: ExperimentResult, fastest: ExperimentResult) -> bool:
    if e is fastest:
        return False
    pair = evidence.pair(e.name, fastest.name)
    return pair is None or pair.speed is None or pair.speed.verdict == "slower"
