"""Depthwise convolution: each channel by itself, vectors of channels, any window.

A register tile is a few output columns, and two rows where registers allow, of one vector of
channels: inputs are loaded once for all outputs of the tile that use them. Columns at the image's
edge have tiles of their own, with only the taps that exist; rows at the edge loop over theirs.
A channel multiplier first repeats the input's channels in a workspace.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tvm import tirx

from assay.compiler.kernels.builder import (
    Buffer,
    Expr,
    KernelBuilder,
    RegisterTile,
    broadcast,
    within,
)
from assay.compiler.kernels.epilogue import EpilogueWriter
from assay.compiler.kernels.panels import PanelRun, split_columns
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.splits import EvenSplit, column_vectors
from assay.compiler.kernels.windows import OutputTiles, tile_outputs
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_COLUMNS = 8  # outputs per row of a tile: more would save few loads for longer edge code
MOST_UNROLLED_TAPS = 25  # 5x5; larger windows loop over their rows everywhere
MOST_UNROLLED_COLUMNS = 16  # wider windows loop over their columns, too


def applicable(problem: Conv2d) -> bool:
    """Tell whether each group has one input channel; a single channel is no depthwise case."""
    return problem.groups == problem.in_c > 1 and not problem.input_gate


def pack(problem: Conv2d, isa: Isa, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Flatten weights [kernel_h, kernel_w, 1, out_c]: that is the order in which they are used."""
    return weights.reshape(-1)


def generate(problem: Conv2d, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`Conv2d` says."""
    b = KernelBuilder()
    p = problem
    source = b.parameter("input", p.input_shape)
    weights = b.parameter("weights", (p.kernel_h * p.kernel_w * p.out_c,))
    epilogue = EpilogueWriter(b, p.epilogue, p.output_shape)
    output = b.parameter("output", p.output_shape)
    pixels = p.batch * (p.in_h * p.in_w + p.out_h * p.out_w)
    tasks = task_count(isa, parallel, p.flops, 4 * pixels * p.out_c)
    if p.out_c != p.in_c:
        source = _repeated_channels(b, p, isa, source)
    _DepthwiseWriter(b, p, isa, source, weights, epilogue, output).write(tasks)
    return b.function(name)


def _repeated_channels(b: KernelBuilder, p: Conv2d, isa: Isa, source: Buffer) -> Buffer:
    multiplier = p.out_c // p.in_c
    repeated = b.workspace("repeated", p.batch * p.in_h * p.in_w * p.out_c)
    with b.serial(p.batch * p.in_h * p.in_w * p.in_c) as index:
        value = b.let(b.load(source, index))
        for start, lanes in column_vectors(multiplier, isa.lanes()):
            b.store(repeated, index * multiplier + start, broadcast(value, lanes), lanes)
    return repeated


def tile_size(p: Conv2d, isa: Isa) -> tuple[int, int]:
    """Return the rows and columns of outputs in a tile.

    Sums, the weights of one window row per tile row, an input and a product share the registers.
    """
    if p.kernel_w > MOST_UNROLLED_COLUMNS:
        return 1, 1
    free = isa.registers - 1 - (not isa.fma)
    reuses_rows = isa.registers >= 32 and p.stride_h < p.kernel_h and p.dilation_h == 1
    rows = 2 if reuses_rows and p.kernel_h * p.kernel_w <= MOST_UNROLLED_TAPS else 1
    columns = (free - rows * p.kernel_w) // rows
    return rows, max(2, min(MOST_COLUMNS, columns))


@dataclass(frozen=True)
class _DepthwiseWriter:
    b: KernelBuilder
    p: Conv2d
    isa: Isa
    source: Buffer
    weights: Buffer
    epilogue: EpilogueWriter
    output: Buffer

    def write(self, tasks: int) -> None:
        """Deal out row tiles: first all rows at the edges, then the tiles of complete rows."""
        b, p = self.b, self.p
        rows, _ = tile_size(p, self.isa)
        complete = p.rows.complete_outputs()
        if p.kernel_h * p.kernel_w > MOST_UNROLLED_TAPS:
            complete = range(0)
        edges = p.out_h - len(complete)
        tiles = EvenSplit(len(complete), -(-len(complete) // rows) or 1)
        units = edges + (tiles.tiles if complete else 0)
        loop = b.parallel if tasks > 1 else b.serial
        with loop(p.batch * units) as index:
            batch, unit = b.let(index // units), b.let(index % units)
            with b.when(within(unit, 0, edges)):
                self._edge_row(batch, self._skip(unit, complete))
            first = edges
            for start, count, size in tiles.parts() if complete else ():
                with b.when(within(unit, first, first + count)):
                    row = b.let(complete.start + start + (unit - first) * size)
                    self._complete_rows(batch, row, size)
                first += count

    def _skip(self, unit: Expr, complete: range) -> Expr:
        """Number the rows at the edges: those above the complete rows, then those below."""
        if not complete:
            return unit
        below = unit + len(complete)
        if isinstance(unit, int):
            return unit if unit < complete.start else below
        return self.b.let(tirx.Select(unit < complete.start, unit, below))

    def _edge_row(self, batch: Expr, row: Expr) -> None:
        b, p = self.b, self.p
        first, count = p.rows.taps(b, row)

        def sums(tile: RegisterTile, columns: OutputTiles, column: Expr, channel: Expr) -> None:
            with b.serial(count, carry=tile) as index:
                tap = b.let(first + index)
                image_row = row * p.stride_h + tap * p.dilation_h - p.pad_top
                start = self._start(batch, image_row, column, channel)
                self._window_row(tile, columns, start, {0: tap}, channel)

        self._tiles(batch, row, 1, sums)

    def _complete_rows(self, batch: Expr, row: Expr, rows: int) -> None:
        p = self.p
        users: dict[int, dict[int, int]] = defaultdict(dict)
        for i in range(rows):
            for tap in range(p.kernel_h):
                users[i * p.stride_h + tap * p.dilation_h][i] = tap

        def sums(tile: RegisterTile, columns: OutputTiles, column: Expr, channel: Expr) -> None:
            for offset in sorted(users):
                image_row = row * p.stride_h + (offset - p.pad_top)
                start = self._start(batch, image_row, column, channel)
                self._window_row(tile, columns, start, users[offset], channel)

        self._tiles(batch, row, rows, sums)

    def _tiles(self, batch: Expr, row: Expr, rows: int, sums: Any) -> None:
        b, p = self.b, self.p
        _, most = tile_size(p, self.isa)
        for columns in tile_outputs(p.columns, most):
            with b.serial(columns.count) as index:
                column = columns.start + index * columns.size
                for run in split_columns(p.out_c, self.isa.lanes(), 1):
                    with b.serial(run.count) as vector:
                        self._tile(run, vector, rows, columns, batch, row, column, sums)

    def _tile(
        self,
        run: PanelRun,
        vector: Expr,
        rows: int,
        columns: OutputTiles,
        batch: Expr,
        row: Expr,
        column: Expr,
        sums: Any,
    ) -> None:
        b, p = self.b, self.p
        lanes = run.packed_columns
        channel = b.let(run.start + vector * lanes)
        tile = b.registers(rows * columns.size, [lanes])
        self.epilogue.start_tile(tile, channel, [(0, lanes)])
        sums(tile, columns, column, channel)
        corner = b.let((batch * p.out_h + row) * p.out_w + column)
        pixels = [corner + (i * p.out_w + j) for i in range(rows) for j in range(columns.size)]
        self.epilogue.write_tile(tile, self.output, pixels, batch, channel, [(0, lanes)])

    def _start(self, batch: Expr, image_row: Expr, column: Expr, channel: Expr) -> Expr:
        """Return where the first tap of the tile's first output is in the input."""
        p = self.p
        line = (batch * p.in_h + image_row) * p.in_w
        return self.b.let((line + (column * p.stride_w - p.pad_left)) * p.out_c + channel)

    def _window_row(
        self, tile: RegisterTile, columns: OutputTiles, start: Expr, users: Any, channel: Expr
    ) -> None:
        """Add one row of the window: ``users`` maps a tile row to the window row it sees there."""
        b, p = self.b, self.p
        lanes = tile.widths[0]
        taps = [tap for tap in range(p.kernel_w) if p.columns.inside(columns.start, tap)]
        if p.kernel_w > MOST_UNROLLED_COLUMNS:
            with b.serial(len(taps), carry=tile) as index:
                tap = b.let(index + taps[0])
                value = b.let(b.load(self.source, start + tap * p.dilation_w * p.out_c, lanes))
                for window_row in users.values():
                    weight = self._weight(window_row, tap, channel, lanes)
                    tile.add_product(0, 0, value, weight)
            return
        seen: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for j in range(columns.size):
            for tap in range(p.kernel_w):
                if columns.complete or p.columns.inside(columns.start + j, tap):
                    seen[j * p.stride_w + tap * p.dilation_w].append((j, tap))
        weights: dict[tuple[int, int], Expr] = {}
        for offset in sorted(seen):
            value = b.let(b.load(self.source, start + offset * p.out_c, lanes))
            for j, tap in seen[offset]:
                for i, window_row in users.items():
                    if (i, tap) not in weights:
                        weights[i, tap] = b.let(self._weight(window_row, tap, channel, lanes))
                    tile.add_product(i * columns.size + j, 0, value, weights[i, tap])

    def _weight(self, window_row: Expr, tap: Expr, channel: Expr, lanes: int) -> Expr:
        offset = (window_row * self.p.kernel_w + tap) * self.p.out_c + channel
        return self.b.load(self.weights, offset, lanes)
