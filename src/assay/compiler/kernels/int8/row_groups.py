"""Image rows in groups, for dot products that sum several neighbours within a lane.

A window's rows are summed ``taps`` at a time. Rows that follow each other in a window are ``apart``
rows from each other in the image, so a group is ``taps`` rows that far from each other. A group
begins every ``step`` rows: groups overlap if that is less than ``taps``, so that more windows lie
in a single one. Where in its first group a window starts repeats every ``starts`` lines of the
output.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from math import gcd

from assay.compiler.kernels.builder import Expr
from assay.compiler.kernels.problem import Conv2d

Pattern = tuple[int | None, ...]
"""Which rows of the window meet the rows of a group, None if none does."""


@dataclass(frozen=True)
class RowGroups:
    """How the windows of a convolution lie on groups of rows; rows count from the first one seen.

    ``taps`` is a multiple of ``step``.
    """

    geometry: Conv2d
    taps: int
    step: int

    @property
    def apart(self) -> int:
        """Rows from one to the next of a group."""
        return self.geometry.dilation_h if self.geometry.stride_h == 1 else 1

    @property
    def starts(self) -> int:
        """In how many ways windows start in a group, line by line (or ``apart`` lines)."""
        return self.step // gcd(self.step, self.geometry.stride_h)

    @property
    def block_lines(self) -> int:
        """Output lines after which all repeats."""
        return self.starts * self.apart

    @property
    def block_groups(self) -> int:
        """Groups from one such block to the next."""
        return self.geometry.stride_h * self.starts // self.step * self.apart

    def first_group(self, start: int) -> int:
        """Return the first group of a window that starts in a certain way, within its block."""
        return self.geometry.stride_h * start // self.step * self.apart

    def patterns(self, start: int) -> dict[int, Pattern]:
        """Return what such a window sees, by the place of the group after its first one."""
        p = self.geometry
        first = p.stride_h * start % self.step
        seen: dict[int, list[int | None]] = defaultdict(lambda: [None] * self.taps)
        for tap in range(p.kernel_h):
            group, place = divmod(first + tap * p.dilation_h // self.apart, self.taps)
            seen[group * (self.taps // self.step) * self.apart][place] = tap
        return {group: tuple(taps) for group, taps in seen.items()}

    def all_patterns(self) -> list[Pattern]:
        """Return the patterns of all starts, in order."""
        return [seen for start in range(self.starts) for seen in self.patterns(start).values()]

    def count(self, lines: Expr) -> Expr:
        """Return how many groups that many output lines see, beginning with a whole block."""
        blocks = (lines + (self.block_lines - 1)) // self.block_lines
        reach = max(
            self.first_group(start) + max(self.patterns(start)) + self.apart
            for start in range(self.starts)
        )
        return (blocks - 1) * self.block_groups + reach

    def row(self, group: Expr, place: int) -> Expr:
        """Return a group's row."""
        first = group // self.apart * (self.step * self.apart) + group % self.apart
        return first + place * self.apart
