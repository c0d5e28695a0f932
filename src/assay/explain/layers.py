"""Times of the same layers in several builds of one model.

Builds cut a network into kernels differently: what is one kernel here may be a convolution and
three conversions there. Layers that share a kernel in any of the builds are compared together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assay.timing.profile import KernelTime, Profile


@dataclass(frozen=True)
class Part:
    """The kernels of one build that compute one group of layers, by position among its calls.

    ``main`` is the one with the most multiply-accumulates, or else the longest; None if a build
    needs no kernel for these layers.
    """

    main: int | None
    others: tuple[int, ...]


def compare(profiles: Sequence[Profile]) -> list[tuple[Part, ...]]:
    """Return the groups of layers, each as its part in each of the profiles."""
    joined = Groups()
    for profile in profiles:
        for kernel in profile.kernels:
            joined.join(_operators(kernel))
    members: dict[int, list[list[int]]] = {}
    for which, profile in enumerate(profiles):
        for call, kernel in enumerate(profile.kernels):
            root = joined.root(next(iter(_operators(kernel)), _NOBODY))
            members.setdefault(root, [[] for _ in profiles])[which].append(call)
    return [
        tuple(_part(p, calls) for p, calls in zip(profiles, each, strict=True))
        for _, each in sorted(members.items())
    ]


_NOBODY = -1
"""Stands for the operator of a kernel that belongs to none."""


def _operators(kernel: KernelTime) -> list[int]:
    """Return the operators that a kernel computes, or else the one that it converts for."""
    if kernel.call.layers:
        return [layer.operator for layer in kernel.call.layers]
    return [layer.operator for layer in kernel.call.serves[:1]]


def _part(profile: Profile, calls: list[int]) -> Part:
    if not calls:
        return Part(None, ())

    def weight(call: int) -> tuple[int, float]:
        return profile.kernels[call].call.macs, profile.kernels[call].median_ms

    main = max(calls, key=weight)
    return Part(main, tuple(call for call in calls if call != main))


class Groups:
    """Sets of numbers that grow together (union-find)."""

    def __init__(self) -> None:
        self._parent: dict[int, int] = {}

    def root(self, member: int) -> int:
        """Return the number that stands for the set of ``member``."""
        while (above := self._parent.get(member, member)) != member:
            member = above
        return member

    def join(self, members: Sequence[int]) -> None:
        """Make one set of those of all members."""
        for one, other in pairwise(members):
            low, high = sorted((self.root(one), self.root(other)))
            self._parent[high] = low
