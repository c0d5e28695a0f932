"""Column panels of integer products: as the float ones, but vectors hold four columns or more.

The dot-product instructions start at four lanes. Fewer columns than that are padded with zeros and
only the real ones are stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.compiler.kernels.int8.stored import lane_order
from assay.compiler.kernels.panels import PanelRun
from assay.compiler.kernels.splits import ceil_power_of_two, floor_power_of_two, split_evenly
from assay.compiler.target import Isa

LEAST_LANES = 4


@dataclass(frozen=True)
class StoreGroup:
    """Vectors of a panel that are narrowed and stored together: ``count`` from ``first`` on.

    ``column`` is relative to the panel's first, ``packed`` the place in a row of the packed panel.
    """

    first: int
    count: int
    lanes: int
    column: int
    packed: int

    @property
    def width(self) -> int:
        """Columns of the group."""
        return self.count * self.lanes


def column_vectors(columns: int, lanes: int) -> tuple[tuple[int, int], ...]:
    """Cover ``columns`` with vectors of 4 to ``lanes`` lanes, as (first column, lanes).

    The last vector may overlap the one before; if there are fewer than 4 columns it ends after
    the last.
    """
    if columns < LEAST_LANES:
        return ((0, LEAST_LANES),)
    full = min(lanes, floor_power_of_two(columns))
    vectors = [(start, full) for start in range(0, columns - full + 1, full)]
    rest = columns % full
    if rest:
        last = max(LEAST_LANES, ceil_power_of_two(rest))
        vectors.append((columns - last, last))
    return tuple(vectors)


def split_columns(columns: int, lanes: int, panel_vectors: int) -> tuple[PanelRun, ...]:
    """Cut ``columns`` into panels of at most ``panel_vectors`` vectors, as even as they come."""
    vectors = column_vectors(columns, lanes)
    split = split_evenly(len(vectors), panel_vectors).parts()
    return join_panels(
        [
            vectors[index : index + size]
            for start, count, size in split
            for index in range(start, start + count * size, size)
        ]
    )


def join_panels(panels: Sequence[Sequence[tuple[int, int]]]) -> tuple[PanelRun, ...]:
    """Join panels that follow each other and have the same shape; (column, lanes) of vectors."""
    runs: list[PanelRun] = []
    packed = 0
    for first, panel in enumerate(panels):
        begin = panel[0][0]
        shape = tuple((column - begin, width) for column, width in panel)
        last = runs[-1] if runs else None
        if last and last.vectors == shape and begin == last.start + packed - last.packed:
            runs[-1] = PanelRun(last.start, last.count + 1, shape, last.packed, last.first)
        else:
            runs.append(PanelRun(begin, 1, shape, packed, first))
        packed += runs[-1].packed_columns
    return tuple(runs)


def store_groups(run: PanelRun) -> Iterator[StoreGroup]:
    """Group vectors that are side by side and equally wide by four, two, one."""
    index = 0
    while index < len(run.vectors):
        column, lanes = run.vectors[index]
        count = 1
        for size in (4, 2):
            expected = tuple((column + i * lanes, lanes) for i in range(size))
            if run.vectors[index : index + size] == expected:
                count = size
                break
        yield StoreGroup(index, count, lanes, column, run.packed_starts()[index])
        index += count


def packed_order(isa: Isa, columns: int, runs: tuple[PanelRun, ...]) -> list[NDArray[np.intp]]:
    """Return, for each panel, which column each packed lane holds; ``columns`` marks padding."""
    panels = []
    for run in runs:
        order = [
            group.column + byte
            for group in store_groups(run)
            for byte in lane_order(isa, group.count, group.lanes)
        ]
        for index in range(run.count):
            chosen = run.start + index * run.packed_columns + np.array(order)
            panels.append(np.minimum(chosen, columns))
    return panels


def pack_columns(values: NDArray[Any], order: list[NDArray[np.intp]]) -> NDArray[Any]:
    """Pack an array [..., columns] panel by panel, flat; padding gets zeros."""
    margin = np.zeros((*values.shape[:-1], 1), values.dtype)
    padded = np.concatenate([values, margin], axis=-1)
    return np.concatenate([padded[..., columns].reshape(-1) for columns in order])
