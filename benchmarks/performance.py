"""docs/performance.md from what ``benchmarks.peers`` stored: nothing is measured here."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from assay.timing.table import milliseconds
from benchmarks.footprint import footprint_rows

BUILDS = ("assay O3", "assay O4")
NCHW_BUILDS = tuple(f"{build} NCHW" for build in BUILDS)
PEERS = ("litert", "openvino")
ABSENT = "-"


@dataclass(frozen=True)
class Ratio:
    """The time of ``subject`` over that of another contender: above 1 the other is faster."""

    subject: str
    ratio: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.ratio:.2f} [{self.low:.2f}, {self.high:.2f}]"


def ratio_to_fastest_peer(bench: dict[str, Any], build: str) -> Ratio | None:
    """Return the ratio of one comparison; None if the build or all peers did not come through."""
    times = medians(bench)
    peers = [peer for peer in PEERS if peer in times]
    if build not in times or not peers:
        return None
    return time_ratio(bench, min(peers, key=times.__getitem__), build)


def time_ratio(bench: dict[str, Any], subject: str, reference: str) -> Ratio | None:
    """Return the time of one contender over that of another; None if they were not compared."""
    for each in bench["comparisons"]:
        if (each["subject"], each["reference"]) == (subject, reference):
            return Ratio(subject, each["ratio"], each["low"], each["high"])
    return None


def geometric_mean(ratios: Sequence[Ratio]) -> Ratio:
    """Return the mean that ratios have (Fleming and Wallace, "How not to lie with statistics: the
    correct way to summarize benchmark results", CACM 29, 1986), with the interval of its noise.

    Logarithms of independent measurements add up, and so do the squares of their intervals. Which
    models were chosen is no part of it.
    """
    count = len(ratios)
    middle = sum(math.log(each.ratio) for each in ratios) / count
    half = math.sqrt(sum((math.log(each.high / each.low) / 2) ** 2 for each in ratios)) / count
    return Ratio("", math.exp(middle), math.exp(middle - half), math.exp(middle + half))


def medians(bench: dict[str, Any]) -> dict[str, float]:
    """Return the median in ms of each contender that came through."""
    return {
        outcome["contender"]["label"]: outcome["spread"]["median_ms"]
        for outcome in bench["outcomes"]
        if outcome["status"] == "timed"
    }


def rows(benches: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Return the table of one number of threads: heading, a row a model, the geometric means."""
    compared = {
        f"fastest peer / {build}": partial(ratio_to_fastest_peer, build=build) for build in BUILDS
    }
    return _table(benches, (*PEERS, *BUILDS), compared)


def nchw_rows(benches: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Return the same table for builds in NCHW, which are compared with those in NHWC as well."""
    compared = {
        f"fastest peer / {build}": partial(ratio_to_fastest_peer, build=build)
        for build in NCHW_BUILDS
    }
    for build, other in zip(NCHW_BUILDS, BUILDS, strict=True):
        compared[f"{build} / {other}"] = partial(time_ratio, subject=build, reference=other)
    timed = [bench for bench in benches if medians(bench).keys() & set(NCHW_BUILDS)]
    return _table(timed, NCHW_BUILDS, compared) if timed else []


def _table(
    benches: Sequence[dict[str, Any]],
    names: Sequence[str],
    compared: dict[str, Callable[[dict[str, Any]], Ratio | None]],
) -> list[list[str]]:
    table = [["model", *(f"{name} ms" for name in names), *compared]]
    columns: list[list[Ratio]] = [[] for _ in compared]
    for bench in benches:
        times = medians(bench)
        cells = [milliseconds(times[name]) if name in times else ABSENT for name in names]
        for column, ratio_of in zip(columns, compared.values(), strict=True):
            ratio = ratio_of(bench)
            cells.append(ABSENT if ratio is None else str(ratio))
            column += [] if ratio is None else [ratio]
        table.append([bench["outcomes"][0]["contender"]["model"], *cells])
    means = [f"{geometric_mean(each)} of {len(each)}" if each else ABSENT for each in columns]
    table.append(["geometric mean", *[""] * len(names), *means])
    return table


def by_threads(found: dict[str, Any]) -> dict[int, list[dict[str, Any]]]:
    """Return the comparisons by number of threads, ascending."""
    numbers = sorted({bench["settings"]["threads"] for bench in found["benches"]})
    return {
        number: [b for b in found["benches"] if b["settings"]["threads"] == number]
        for number in numbers
    }


def failures(found: dict[str, Any]) -> list[str]:
    """Return who did not come through on which model, and why, a line each."""
    lines = [f"{each['model']}: {each['reason']}" for each in found["failures"]]
    for bench in found["benches"]:
        lines += [
            f"{outcome['contender']['model']}, {outcome['contender']['label']}: {outcome['reason']}"
            for outcome in bench["outcomes"]
            if outcome["status"] != "timed"
        ]
    return list(dict.fromkeys(lines))


def page(found: dict[str, Any]) -> str:
    """Return the page as Markdown; ``found`` is what ``benchmarks.peers`` stored."""
    parts = ["# Performance", _INTRODUCTION]
    for threads, benches in by_threads(found).items():
        parts += [f"## {threads} thread{'s' * (threads != 1)}", _markdown(rows(benches))]
        if nchw := nchw_rows(benches):
            parts += ["### Layout NCHW", _markdown(nchw)]
    for benches in list(by_threads(found).values())[:1]:
        parts += ["## Memory and size", _FOOTPRINT, _markdown(footprint_rows(benches))]
    if lines := failures(found):
        parts += ["## Not timed", "\n".join(f"- {line}" for line in lines)]
    if found["benches"]:
        parts += ["## Conditions", _conditions(found["benches"])]
    return "\n\n".join(parts) + "\n"


_INTRODUCTION = """\
Time of one inference (batch 1) in milliseconds, and the time of the fastest of LiteRT (with XNNPACK) and
OpenVINO over that of assay's build: above 1 assay is faster. Brackets are 95 % confidence intervals; if one
includes 1, which is faster cannot be told. How this is measured is on [the page on timing](timing.md).
`python -m benchmarks.peers` writes this page. Builds keep the models' layout, NHWC, unless NCHW is said."""  # noqa: E501


_FOOTPRINT = """\
Peak of a process's resident memory until its first inference is done, with Python and
all packages: the median of its launches with the fewest threads above. Sizes are those of files on disk."""  # noqa: E501


def _conditions(benches: Sequence[dict[str, Any]]) -> str:
    audits = [bench["audit"] for bench in benches]
    machine = audits[0]["machine"]
    loads = [audit["load_start"] for audit in audits]
    versions = ", ".join(f"{name} {number}" for name, number in audits[0]["versions"].items())
    cautions = Counter(each["id"] for audit in audits for each in audit["warnings"])
    lines = [
        f"CPU: {machine['cpu']}, {machine['usable_cores']} cores"
        f"{', virtual machine' if machine['virtual'] else ''} ({' '.join(machine['flags'])})",
        f"Software: {machine['os']}, Python {machine['python']}, {versions}",
        f"Date: {benches[0]['created'][:10]}",
        *dict.fromkeys(_effort(bench["settings"]) for bench in benches),
        f"Load average before: {min(loads):.2f} to {max(loads):.2f}",
        "Warnings: "
        + (", ".join(f"{name} ({n} times)" for name, n in cautions.most_common()) or "none"),
    ]
    return "\n".join(f"- {line}" for line in lines)


def _effort(settings: dict[str, Any]) -> str:
    threads, launches, rounds = (settings[name] for name in ("threads", "launches", "rounds"))
    return (
        f"{threads} thread{'s' * (threads != 1)}: {launches} launches of each contender, "
        f"{rounds} rounds of {settings['min_time_s']:g} s in all"
    )


def _markdown(table: list[list[str]]) -> str:
    heading, *body = table
    rule = ["---", *["--:"] * (len(heading) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (heading, rule, *body))
