"""The two layouts of images, and the way from one to the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

TO_NHWC = (0, 2, 3, 1)
TO_NCHW = (0, 3, 1, 2)


@dataclass(frozen=True)
class Direction:
    """From the layout that a graph is in to the one that it gets."""

    source: Literal["NHWC", "NCHW"]
    target: Literal["NHWC", "NCHW"]

    @property
    def order(self) -> tuple[int, ...]:
        """Axes of the transpose from source to target."""
        return tuple(self.source.index(axis) for axis in self.target)

    @property
    def back(self) -> tuple[int, ...]:
        """Axes of the transpose from target to source."""
        return tuple(self.target.index(axis) for axis in self.source)

    def moved(self, axis: int) -> int:
        """Return where an axis of the source, counted from either end, lies in the target."""
        return self.target.index(self.source[axis])


NCHW_TO_NHWC = Direction("NCHW", "NHWC")
NHWC_TO_NCHW = Direction("NHWC", "NCHW")


def axes(call: Any) -> tuple[int, ...]:
    """Return the order of a ``permute_dims``, counted from the front."""
    given = call.attrs.axes
    if given is None:
        return tuple(range(len(call.ty.shape)))[::-1]
    return tuple(int(axis) % len(call.ty.shape) for axis in given)


def rank(expr: Any) -> int:
    """Return how many axes a tensor has, -1 of what is no tensor."""
    return len(expr.ty.shape) if hasattr(expr.ty, "shape") else -1
