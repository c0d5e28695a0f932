"""Two experiments layer by layer: which kernels of each compute the same part of the network.

Builds cut a network into kernels differently, and an INT8 file has other operators at its ends than
the FP32 one. Operators of two files are the same where they come in the same order with the same
kind and shape; layers that share a kernel in either build are compared together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from assay.explain.layers import Groups
from assay.lab.results import ExperimentResult, Kernel, Layer, LayerTimes


@dataclass(frozen=True)
class Side:
    """What one build spends on a group of layers: kernels by position among its calls."""

    kernels: tuple[int, ...]
    ms: float


@dataclass(frozen=True)
class GroupTimes:
    """The same layers in two builds. Both sides' times add up to those of all kernels."""

    layers: tuple[Layer, ...]
    subject: Side
    reference: Side

    @property
    def title(self) -> str:
        """Kinds and last shape of the operators; what only converts says so."""
        if not self.layers:
            return "conversions"
        shape = "x".join(map(str, self.layers[-1].shape))
        return f"{' + '.join(layer.op for layer in self.layers)} {shape}"

    @property
    def name(self) -> str:
        """The name in the model file of what the last operator computes."""
        return self.layers[-1].name if self.layers else ""


def compare_layers(subject: ExperimentResult, reference: ExperimentResult) -> list[GroupTimes]:
    """Return the groups of layers in the order of the subject's network.

    Layers are the subject's, or the reference's where the subject has none. Empty if one of the two
    has no times of layers.
    """
    ours, theirs = subject.layer_times, reference.layer_times
    if ours is None or theirs is None:
        return []
    same = _file(subject) is not None and _file(subject) == _file(reference)
    numbers = (_own(ours), _own(theirs)) if same else _numbers(ours, theirs)
    joined = Groups()
    for times, names in zip((ours, theirs), numbers, strict=True):
        for kernel in times.kernels:
            joined.join([names[operator] for operator in _operators(kernel)])
    sides = [_gather(t, n, joined) for t, n in zip((ours, theirs), numbers, strict=True)]
    layers = [_members(t, n, joined) for t, n in zip((ours, theirs), numbers, strict=True)]
    return [
        GroupTimes(
            layers=tuple(layers[0].get(root, layers[1].get(root, []))),
            subject=_side(ours, sides[0].get(root, [])),
            reference=_side(theirs, sides[1].get(root, [])),
        )
        for root in sorted(sides[0].keys() | sides[1].keys())
    ]


@dataclass(frozen=True)
class LayerTable:
    """Two builds' times of the same layers. The gaps are what lies outside of kernels, in ms."""

    subject: ExperimentResult
    reference: ExperimentResult
    groups: tuple[GroupTimes, ...]
    gaps: tuple[float, float]
    totals: tuple[float, float]

    @property
    def longest_ms(self) -> float:
        """The longest time of a group on either side."""
        return max(ms for each in self.groups for ms in (each.subject.ms, each.reference.ms))


def layer_table(subject: ExperimentResult, reference: ExperimentResult) -> LayerTable | None:
    """Return both builds' layers; None if one of them has no times of layers."""
    groups = compare_layers(subject, reference)
    ours, theirs = subject.layer_times, reference.layer_times
    if not groups or ours is None or theirs is None:
        return None
    return LayerTable(
        subject,
        reference,
        tuple(groups),
        (ours.gap_ms, theirs.gap_ms),
        (ours.total_ms, theirs.total_ms),
    )


def _file(experiment: ExperimentResult) -> Any:
    """Return what identifies the model file of an experiment."""
    return experiment.model.get("sha256") if experiment.model else None


_NOBODY = -1
"""Stands for the operator of a kernel that belongs to none."""


def _own(times: LayerTimes) -> dict[int, int]:
    """Number operators as the file does, which both were built of."""
    return {layer.operator: layer.operator for layer in times.layers}


def _numbers(ours: LayerTimes, theirs: LayerTimes) -> tuple[dict[int, int], dict[int, int]]:
    """Number the operators of both: the same ones alike, in the order of the network."""
    first = [(layer.op, tuple(layer.shape)) for layer in ours.layers]
    second = [(layer.op, tuple(layer.shape)) for layer in theirs.layers]
    left: dict[int, int] = {}
    right: dict[int, int] = {}
    matcher = SequenceMatcher(None, first, second, autojunk=False)
    for tag, i, j, k, m in matcher.get_opcodes():
        start = i + k  # no smaller than any number given before
        left |= {ours.layers[at].operator: start + at - i for at in range(i, j)}
        shift = 0 if tag == "equal" else j - i
        right |= {theirs.layers[at].operator: start + shift + at - k for at in range(k, m)}
    return left, right


def _operators(kernel: Kernel) -> list[int]:
    """Return the operators that a kernel computes, or else the one that it converts for."""
    return kernel.layers or kernel.serves[:1]


def _gather(times: LayerTimes, names: dict[int, int], joined: Groups) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for call, kernel in enumerate(times.kernels):
        operators = _operators(kernel)
        root = joined.root(names[operators[0]]) if operators else _NOBODY
        found.setdefault(root, []).append(call)
    return found


def _members(times: LayerTimes, names: dict[int, int], joined: Groups) -> dict[int, list[Layer]]:
    """Return the layers of each group that have a kernel, in the network's order."""
    computed = {operator for kernel in times.kernels for operator in kernel.layers}
    found: dict[int, list[Layer]] = {}
    for layer in times.layers:
        if layer.operator in computed:
            found.setdefault(joined.root(names[layer.operator]), []).append(layer)
    return found


def _side(times: LayerTimes, calls: Sequence[int]) -> Side:
    return Side(tuple(calls), sum(times.kernels[call].median_ms for call in calls))
