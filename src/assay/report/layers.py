"""Layers of two experiments side by side, as every form of the report shows them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from assay.lab.layerwise import compare_layers
from assay.lab.results import ExperimentResult, Kernel, LayerTimes
from assay.lab.versus import Pair


def telling_pair(pairs: Sequence[Pair], choice: str | None, reference: str | None) -> Pair | None:
    """Return the two experiments that a report shows before a reader chooses.

    The one to deploy, or else the fastest build, against TVM's own pipeline, or else another build
    of the same precision, or else any; without two that have times of layers, against the
    reference.
    """

    def rank(pair: Pair) -> tuple[float, ...]:
        ours, theirs = pair.subject.layer_times, pair.reference.layer_times
        alike = pair.reference.precision == pair.subject.precision
        return (
            ours is not None and theirs is not None,
            pair.subject.name == choice,
            -ours.total_ms if ours else 0.0,
            pair.reference.runtime == "stock" and alike,
            alike,
            pair.reference.name == reference,
        )

    return max(pairs, key=rank, default=None)


def details(times: LayerTimes, calls: Sequence[int]) -> str:
    """Say of each kernel its name, time with percentiles, and rates."""
    macs = {layer.operator: layer.macs for layer in times.layers}
    lines = []
    for call in calls:
        kernel = times.kernels[call]
        work = sum(macs[operator] for operator in kernel.layers)
        lines.append(_detail(kernel, work))
    return "; ".join(lines) or "no kernel"


def _detail(kernel: Kernel, macs: int) -> str:
    rates = []
    if kernel.median_ms > 0:
        rates += [f"{2 * macs / kernel.median_ms / 1e6:.1f} Gop/s"] if macs else []
        rates.append(f"{kernel.bytes_moved / kernel.median_ms / 1e6:.1f} GB/s")
    spread = f"{kernel.median_ms:.3f} ms ({kernel.p10_ms:.3f} to {kernel.p90_ms:.3f})"
    return ", ".join([f"{kernel.symbol} {spread}", *rates])


def all_layers(experiments: Sequence[ExperimentResult]) -> dict[str, Any]:
    """Return what a page needs to show any two: groups of each pair, kernels of each experiment.

    ``pairs`` holds, for each two experiments in the order given, [index into ``titles``, kernels of
    the first, kernels of the second] of each group; ``kernels`` [detail, ms] of each kernel.
    """
    profiled = [e for e in experiments if e.layer_times is not None]
    titles: dict[tuple[str, str], int] = {}
    pairs: dict[str, list[Any]] = {}
    for first, second in combinations(profiled, 2):
        pairs[f"{first.name} {second.name}"] = [
            [
                titles.setdefault((group.title, group.name), len(titles)),
                list(group.subject.kernels),
                list(group.reference.kernels),
            ]
            for group in compare_layers(first, second)
        ]
    builds = {}
    for experiment in profiled:
        times = experiment.layer_times
        assert times is not None
        builds[experiment.name] = {
            "total": round(times.total_ms, 4),
            "gap": round(times.gap_ms, 4),
            "kernels": [
                [details(times, [call]), round(kernel.median_ms, 5)]
                for call, kernel in enumerate(times.kernels)
            ],
        }
    return {"titles": [list(title) for title in titles], "pairs": pairs, "builds": builds}
