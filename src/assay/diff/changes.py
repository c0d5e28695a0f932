"""From two sides to what differs between them, as data."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from assay.compiler.kernel_calls import parts_of
from assay.diff.sides import Side
from assay.lab.findings import causes
from assay.lab.layerwise import LayerTable, layer_table
from assay.lab.versus import Evidence, Latency, Pair, pair_of
from assay.quality.intervals import Share

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Change:
    """One fact of both sides; None where a side has none."""

    what: str
    a: Any
    b: Any


@dataclass(frozen=True)
class RemarkChange:
    """Equal remarks: how many each side has, and what they cost there in ms, None if unknown."""

    id: str
    evidence: str
    a: int
    b: int
    a_ms: float | None
    b_ms: float | None

    @property
    def how(self) -> str:
        """What became of them from A to B."""
        if not self.a or not self.b:
            return "appeared" if self.b else "gone"
        return "more" if self.b > self.a else "fewer"


@dataclass(frozen=True)
class Numbers:
    """What was measured of one side; None where nothing was."""

    latency: Latency | None
    accuracy: Share | None
    loaded_bytes: int | None
    compile_s: float | None


@dataclass(frozen=True)
class Diff:
    """All that changed from A to B.

    ``built`` and ``ir`` hold only what differs, ``remarks`` only what one side has more of.
    ``pair`` is B held against A. ``notes`` say what makes a comparison doubtful.
    """

    a: Side
    b: Side
    built: tuple[Change, ...]
    ir: tuple[Change, ...]
    remarks: tuple[RemarkChange, ...]
    layers: LayerTable | None
    numbers: tuple[Numbers, Numbers]
    pair: Pair
    notes: tuple[str, ...]


def diff(a: Side, b: Side) -> Diff:
    """Compare two results; what only one of them holds is left out, not guessed."""
    notes: list[str] = []
    return Diff(
        a=a,
        b=b,
        built=_differing(_built(a), _built(b)),
        ir=tuple(_ir(a, b)),
        remarks=_remarks(a, b),
        layers=layer_table(b.experiment, a.experiment),
        numbers=(_numbers(a), _numbers(b)),
        pair=_pair(a, b, notes),
        notes=tuple(notes),
    )


def _built(side: Side) -> dict[str, Any]:
    """Return how a side was built and run, by name of the choice."""
    e = side.experiment
    facts = {
        "runtime": e.runtime,
        "precision of the file": e.precision or None,
        "model": (e.model or {}).get("name"),
        "model sha256": (e.model or {}).get("sha256"),
        "resolved target": _target(e.resolved_target),
        "threads": side.run.threads if side.run else None,
    }
    return {**facts, **{f"config {name}": value for name, value in (e.config or {}).items()}}


def _target(text: str | None) -> str | None:
    """Return the CPU of a target in TVM's JSON form, or all of it if that names none."""
    try:
        return str(json.loads(text or "").get("mcpu") or text)
    except (ValueError, AttributeError):
        return text


def _differing(a: dict[str, Any], b: dict[str, Any]) -> tuple[Change, ...]:
    names = dict.fromkeys((*a, *b))
    return tuple(Change(n, a.get(n), b.get(n)) for n in names if a.get(n) != b.get(n))


def _ir(a: Side, b: Side) -> Iterator[Change]:
    ours, theirs = _counts(a), _counts(b)
    for what in ours:
        before, after = ours[what], theirs[what]
        for name in dict.fromkeys((*(before or ()), *(after or ()))):
            change = Change(
                f"{what} {name}".strip(),
                None if before is None else before[name],
                None if after is None else after[name],
            )
            if change.a != change.b:
                yield change


def _counts(side: Side) -> dict[str, Counter[str] | None]:
    """Count what one inference consists of; None where that is not known."""
    calls = side.calls
    if calls is None:
        return dict.fromkeys(("kernel calls", "transposes", "conversions", "operator", "kernel"))
    return {
        "kernel calls": Counter({"": len(calls)}),
        "transposes": Counter({"": sum("transpose" in parts_of(c.symbol) for c in calls)}),
        "conversions": Counter({"": sum(not c.ops for c in calls)}),
        "operator": Counter(op for call in calls for op in call.ops),
        "kernel": Counter(kind(call.symbol) for call in calls),
    }


def kind(symbol: str) -> str:
    """Return what a kernel is, from its name without the numbers that keep names apart.

    >>> kind("int8_conv2d_12"), kind("transpose3"), kind("fused_conv2d1_add2")
    ('int8_conv2d', 'transpose', 'conv2d + add')
    """
    if symbol.startswith("fused_"):
        return " + ".join(parts_of(symbol))
    return re.sub(r"_?\d+$", "", symbol)


def _remarks(a: Side, b: Side) -> tuple[RemarkChange, ...]:
    """Return the remarks that one side has more of, those that are gone first, costliest first."""
    if a.experiment.remarks is None or b.experiment.remarks is None:
        return ()
    before, after = (
        {(c.id, c.evidence): c for c in causes(side.experiment.remarks or ())} for side in (a, b)
    )
    found = []
    for key in dict.fromkeys((*before, *after)):
        old, new = before.get(key), after.get(key)
        counts = old.count if old else 0, new.count if new else 0
        if counts[0] != counts[1]:
            costs = old.cost_ms if old else None, new.cost_ms if new else None
            found.append(RemarkChange(*key, *counts, *costs))
    order = ("gone", "fewer", "more", "appeared")
    return tuple(
        sorted(found, key=lambda r: (order.index(r.how), -(r.a_ms or 0.0), -(r.b_ms or 0.0)))
    )


def _numbers(side: Side) -> Numbers:
    e = side.experiment
    evidence = None if side.run is None else Evidence(side.run)
    return Numbers(
        latency=evidence.latencies.get(e.name) if evidence else None,
        accuracy=evidence.accuracies.get(e.name) if evidence else None,
        loaded_bytes=e.loaded_bytes,
        compile_s=e.compile_s,
    )


def _pair(a: Side, b: Side, notes: list[str]) -> Pair:
    """Return B against A, with whatever both hold of speed and accuracy."""
    from assay.timing.compare import compare_apart

    if a.run is None or b.run is None:
        return pair_of(b.experiment, a.experiment, None, None)
    if a.run is b.run:
        pair = Evidence(a.run).pair(b.experiment.name, a.experiment.name)
        assert pair is not None, "both sides are finished"
        return pair
    same_data = a.run.dataset == b.run.dataset
    if not same_data:
        notes.append("the data sets differ, so accuracies are not compared")
    times = [Evidence(side.run).times.get(side.experiment.name) for side in (a, b) if side.run]
    speed = None
    if _conditions(a) != _conditions(b):
        notes.append("CPU or number of threads differ, so times are not compared")
    elif times[0] and times[1]:
        notes.append(
            "the two were timed in separate runs: the interval does not know what changed on the "
            "machine in between"
        )
        (speed,) = compare_apart([(a.label, times[0]), (b.label, times[1])])
    return pair_of(
        b.experiment, a.experiment, speed, a.run.dataset["labels"] if same_data else None
    )


def _conditions(side: Side) -> tuple[Any, ...]:
    run = side.run
    assert run is not None
    return run.machine.get("cpu"), run.threads
