"""Column panels: how the output channels of a matrix product are cut up, and weights packed.

A panel is what one register tile is wide: a few vectors of output channels. Packed weights hold
panel after panel, each as [depth][panel columns], so that the innermost loop reads them in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.compiler.kernels.splits import EvenSplit, column_vectors, split_evenly

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class PanelRun:
    """``count`` panels of one shape, side by side.

    ``vectors`` are (column relative to the panel's first, lanes). ``packed`` is how many columns of
    packed weights come before the run, ``first`` how many panels.
    """

    start: int
    count: int
    vectors: tuple[tuple[int, int], ...]
    packed: int
    first: int

    @property
    def widths(self) -> tuple[int, ...]:
        """Lanes of each vector."""
        return tuple(lanes for _, lanes in self.vectors)

    @property
    def packed_columns(self) -> int:
        """Columns of one packed panel; columns that two vectors share are packed twice."""
        return sum(self.widths)

    def packed_starts(self) -> tuple[int, ...]:
        """Return where each vector starts in a row of the packed panel."""
        return tuple(sum(self.widths[:index]) for index in range(len(self.widths)))


def split_columns(columns: int, lanes: int, panel_vectors: int) -> tuple[PanelRun, ...]:
    """Cut ``columns`` into panels of at most ``panel_vectors`` vectors, as even as they come."""
    vectors = column_vectors(columns, lanes)
    runs: list[PanelRun] = []
    for start, count, size in split_evenly(len(vectors), panel_vectors).parts():
        for index in range(count):
            chosen = vectors[start + index * size : start + (index + 1) * size]
            _append(runs, chosen)
    return tuple(runs)


def _append(runs: list[PanelRun], vectors: tuple[tuple[int, int], ...]) -> None:
    first_column = vectors[0][0]
    shape = tuple((column - first_column, lanes) for column, lanes in vectors)
    last = runs[-1] if runs else None
    if last is not None and last.vectors == shape and _follows(last, first_column):
        grown = PanelRun(last.start, last.count + 1, shape, last.packed, last.first)
        runs[-1] = grown
        return
    packed = last.packed + last.count * last.packed_columns if last else 0
    first = last.first + last.count if last else 0
    runs.append(PanelRun(first_column, 1, shape, packed, first))


def _follows(run: PanelRun, column: int) -> bool:
    return run.start + run.count * run.packed_columns == column


def packed_columns(runs: tuple[PanelRun, ...]) -> int:
    """Return the columns of all packed panels together."""
    return sum(run.count * run.packed_columns for run in runs)


def panel_count(runs: tuple[PanelRun, ...]) -> int:
    """Return how many panels the runs hold."""
    return sum(run.count for run in runs)


def pack_panels(weights: NDArray[np.float32], runs: tuple[PanelRun, ...]) -> NDArray[np.float32]:
    """Pack a matrix float32 [depth, columns] panel by panel into one flat array."""
    import numpy as np

    pieces = []
    for run in runs:
        for index in range(run.count):
            start = run.start + index * run.packed_columns
            columns = [
                start + column + lane for column, lanes in run.vectors for lane in range(lanes)
            ]
            pieces.append(weights[:, columns].reshape(-1))
    return np.ascontiguousarray(np.concatenate(pieces), dtype=np.float32)


def pack_tiles(weights: NDArray[np.float32], tiles: EvenSplit) -> NDArray[np.float32]:
    """Pack a matrix float32 [depth, columns] by tiles of columns, each [depth][column], flat."""
    import numpy as np

    pieces = [
        slice(first, first + size)
        for start, count, size in tiles.parts()
        for first in range(start, start + count * size, size)
    ]
    return np.concatenate([weights[:, columns].reshape(-1) for columns in pieces])
