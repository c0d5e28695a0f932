"""Offsets in one arena for tensors that are alive for a known part of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ALIGNMENT_BYTES = 64
"""What TVM wants of every tensor's address."""


@dataclass(frozen=True)
class Lifetime:
    """A tensor's size in bytes and the first and last step that touch it, both included."""

    size: int
    first: int
    last: int

    def overlaps(self, other: Lifetime) -> bool:
        """Tell whether there is a step at which both tensors are alive."""
        return self.first <= other.last and other.first <= self.last


def place(lifetimes: Sequence[Lifetime]) -> tuple[tuple[int, ...], int]:
    """Return the offset of each tensor and the arena's size, all multiples of 64 bytes.

    Largest first, each at the lowest offset that is free for its whole life: "greedy by size" of
    Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference" (2020).
    """
    offsets = [0] * len(lifetimes)
    placed: list[int] = []
    end = 0
    for index in sorted(range(len(lifetimes)), key=lambda i: -lifetimes[i].size):
        size = _aligned(lifetimes[index].size)
        taken = sorted(
            (offsets[other], offsets[other] + _aligned(lifetimes[other].size))
            for other in placed
            if lifetimes[other].overlaps(lifetimes[index])
        )
        offset = 0
        for start, stop in taken:
            if offset + size <= start:
                break
            offset = max(offset, stop)
        offsets[index] = offset
        placed.append(index)
        end = max(end, offset + size)
    return tuple(offsets), end


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
