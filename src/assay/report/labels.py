"""Finds room for labels beside points that may lie on top of each other."""

from __future__ import annotations

import math
from collections.abc import Sequence

Point = tuple[float, float]

_ANGLES = (90, 45, 135, 0, 180, 315, 225, 270)
_RINGS = 12


def place(points: Sequence[Point], marker: float, width: float, height: float) -> list[Point]:
    """Return an offset (dx, dy) from each point to the centre of its label, all in one unit.

    A label is ``width`` x ``height``, a marker ``marker`` wide. Labels take, in order, the nearest
    of a set of places around their point that covers no marker and no label placed before; if all
    are covered, the first.
    """
    taken = [(x, y, marker, marker) for x, y in points]
    offsets = []
    for x, y in points:
        offset = next(
            (
                (dx, dy)
                for dx, dy in _places(marker, width, height)
                if not any(_overlap((x + dx, y + dy, width, height), box) for box in taken)
            ),
            next(iter(_places(marker, width, height))),
        )
        taken.append((x + offset[0], y + offset[1], width, height))
        offsets.append(offset)
    return offsets


def _places(marker: float, width: float, height: float) -> list[Point]:
    return [
        (
            math.cos(math.radians(angle)) * (marker + width) / 2 * ring,
            math.sin(math.radians(angle)) * (marker + height) / 2 * ring,
        )
        for ring in (1.05 + 0.5 * step for step in range(_RINGS))
        for angle in _ANGLES
    ]


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    """Tell whether two boxes (centre x, centre y, width, height) share an area."""
    return abs(a[0] - b[0]) * 2 < a[2] + b[2] and abs(a[1] - b[1]) * 2 < a[3] + b[3]
