"""Which image rows a tile of a depthwise convolution sees, and how large tiles are."""

from __future__ import annotations

from dataclasses import dataclass

from assay.compiler.kernels.int8.dot import Dot
from assay.compiler.kernels.int8.interleave import instructions, most_channels
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.target import Isa

MOST_ROWS, MOST_COLUMNS = 4, 8
SPARE_REGISTERS = 6  # an interleaved vector or four, and what it is made from

Pattern = tuple[int | None, ...]
"""For each row of a group: which row of the window meets it, None if none does."""


@dataclass(frozen=True)
class RowPlan:
    """Outputs in ``rows`` lines share image rows, in groups as large as the dot product has taps.

    ``groups`` hold row offsets from the first image row; ``products`` are (output row, group,
    pattern) and leave out groups that an output does not see.
    """

    rows: int
    groups: tuple[tuple[int, ...], ...]
    products: tuple[tuple[int, int, Pattern], ...]

    @property
    def patterns(self) -> list[Pattern]:
        """All patterns, in the order of their weights."""
        return list(dict.fromkeys(pattern for _, _, pattern in self.products))


def plan_rows(p: Conv2d, dot: Dot, rows: int) -> RowPlan:
    """Group the image rows of ``rows`` output lines."""
    seen = [
        {row * p.stride_h + tap * p.dilation_h: tap for tap in range(p.kernel_h)}
        for row in range(rows)
    ]
    offsets = sorted({offset for taps in seen for offset in taps})
    groups = tuple(tuple(offsets[i : i + dot.taps]) for i in range(0, len(offsets), dot.taps))
    products = []
    for row, taps in enumerate(seen):
        for index, group in enumerate(groups):
            pattern = tuple(taps.get(offset) for offset in group)
            if any(tap is not None for tap in pattern):
                products.append((row, index, pattern + (None,) * (dot.taps - len(group))))
    return RowPlan(rows, groups, tuple(products))


def tile_size(p: Conv2d, isa: Isa, dot: Dot) -> tuple[int, int]:
    """Return the rows and columns of outputs in a tile: the cheapest whose sums fit registers.

    Where tiles do not divide the output the last ones overlap their neighbours.
    """
    sums = most_channels(isa, dot) // isa.lanes()
    free = max(isa.registers - SPARE_REGISTERS, sums)
    sizes = [
        (rows, columns)
        for rows in range(1, min(MOST_ROWS, p.out_h) + 1)
        for columns in range(1, min(MOST_COLUMNS, p.out_w) + 1)
        if rows * columns * sums <= free
    ]
    return min(sizes, key=lambda size: _cost(p, dot, sums, *size))


def _cost(p: Conv2d, dot: Dot, sums: int, rows: int, columns: int) -> int:
    """Instructions of all tiles."""
    plan = plan_rows(p, dot, rows)
    seen = {j * p.stride_w + t * p.dilation_w for j in range(columns) for t in range(p.kernel_w)}
    interleaving = len(seen) * len(plan.groups) * instructions(dot)
    adding = columns * p.kernel_w * len(plan.products) * sums
    return (interleaving + adding) * -(-p.out_h // rows) * -(-p.out_w // columns)
