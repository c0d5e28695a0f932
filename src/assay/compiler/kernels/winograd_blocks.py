"""Blocks of a Winograd convolution's tiles: how threads share them out, and their products."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Literal

from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, within
from assay.compiler.kernels.epilogue_writer import LINE_FLOATS
from assay.compiler.kernels.microkernel import add_outer_product
from assay.compiler.kernels.next_panel import next_panel
from assay.compiler.kernels.panels import PanelRun, packed_columns, split_columns
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.splits import EvenSplit, split_evenly
from assay.compiler.kernels.tiles import choose_tile, steps_per_turn, steps_that_fit
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

_Sharing = Literal["nothing", "blocks", "rows"]


@dataclass(frozen=True)
class Plan:
    """Outputs along a tile's side, tiles of a strip, strips in blocks, panels, register tiles.

    Strips are moved as a whole, and each belongs to one block. Register tiles have at most ``rows``
    rows; a turn of their loop takes ``steps`` of depth, if they fit. Threads share out the blocks,
    or the rows of one block after the other: its strips in ``shares`` parts.
    """

    outputs: int
    strip: int
    blocks: EvenSplit
    shares: int
    runs: tuple[PanelRun, ...]
    rows: int
    steps: int
    sharing: _Sharing

    @property
    def positions(self) -> int:
        """Inputs, and products, of a tile."""
        return (self.outputs + 2) ** 2

    @property
    def block(self) -> int:
        """Tiles of the largest block."""
        return -(-self.blocks.total // self.blocks.tiles) * self.strip

    def packed_size(self, in_c: int) -> int:
        """Elements of the packed weights."""
        return self.positions * in_c * packed_columns(self.runs)

    def step(self, channels: int) -> int:
        """Return the elements from one position's ``block`` x ``channels`` to the next position's.

        An odd number of cache lines: powers of two would put all positions in one set of a cache.
        """
        lines = -(-self.block * channels // LINE_FLOATS)
        return (lines + 1 - lines % 2) * LINE_FLOATS

    def shares_of(self, strips: int) -> EvenSplit:
        """Return a block's strips as parts for :func:`parts`, the same ones wherever it is used."""
        return EvenSplit(strips, min(self.shares, strips))


def make_plan(p: Conv2d, isa: Isa, parallel: int, outputs: int, strips: int, size: int) -> Plan:
    """Choose blocks of whole strips, each of ``size`` tiles, and panels and register tiles."""
    positions = (outputs + 2) ** 2
    strip_bytes = 4 * positions * (p.in_c + p.out_c) * size
    weight_bytes = 4 * positions * p.in_c * p.out_c
    # Each block reads all weights, so where they outgrow the cache, blocks may do so as well.
    block_bytes = max(isa.l2_bytes // 2, weight_bytes)
    blocks = -(-strips // max(1, block_bytes // strip_bytes))
    # The panels depend on the rows of a block, and packing must not depend on the threads.
    tile = choose_tile(isa, -(-strips // blocks) * size, p.out_c, p.in_c)
    moved = 4 * (prod(p.input_shape) + prod(p.output_shape))
    tasks = min(task_count(isa, parallel, p.flops, moved), strips)
    # One thread goes through all blocks, and weights larger than the cache come from an outer one
    # each time: then there are no more blocks for the sake of threads.
    by_rows = blocks < tasks and weight_bytes >= isa.l2_bytes
    if not by_rows:
        blocks = min(-(-blocks // tasks) * tasks, strips)
    block = -(-strips // blocks)
    # As many shares as register tiles, if strips are so small, balance any number of threads.
    tiles = -(-split_evenly(block * size, tile.rows).tiles // tasks) * tasks
    shares = (tiles if tiles <= block else tasks) if by_rows else 1
    sharing: _Sharing = "nothing" if tasks == 1 else "rows" if by_rows else "blocks"
    return Plan(
        outputs=outputs,
        strip=size,
        blocks=EvenSplit(strips, blocks),
        shares=shares,
        runs=split_columns(p.out_c, isa.lanes(), tile.vectors),
        rows=tile.rows,
        steps=steps_per_turn(isa, tile.rows),
        sharing=sharing,
    )


def parts(b: KernelBuilder, split: EvenSplit, index: Expr) -> Iterator[tuple[Expr, int]]:
    """Find the ``index``-th part of a split: yields the first element, and the size.

    What follows is written once for each size, of which the right one runs.
    """
    before = 0
    for start, count, size in split.parts():
        with b.when(count == split.tiles or within(index, before, before + count)):
            yield b.let((index - before) * size + start), size
        before += count


def multiply(
    b: KernelBuilder,
    p: Conv2d,
    plan: Plan,
    shares: EvenSplit,
    data: Buffer,
    weights: Buffer,
    sums: Buffer,
) -> None:
    """Multiply a block's tiles, those of strips in ``shares``, with the weights by position."""
    depth, columns = p.in_c, packed_columns(plan.runs)
    data_step, sums_step = plan.step(p.in_c), plan.step(p.out_c)
    steps = steps_that_fit(plan.steps, depth)
    rows_of = {size: split_evenly(size * plan.strip, plan.rows) for _, _, size in shares.parts()}
    tiles = sum(count * rows_of[size].tiles for _, count, size in shares.parts())
    most = max(split.tiles for split in rows_of.values())

    def tile(
        run: PanelRun, position: Expr, panel: Expr, number: Expr, first: Expr, rows: int
    ) -> None:
        width = run.packed_columns
        source = b.let(position * data_step + first * depth)
        target = b.let(position * sums_step + first * p.out_c + run.start + panel * width)
        packed = b.let((position * columns + run.packed + panel * width) * depth)
        size, share = (depth, width), (number, tiles)
        ahead = next_panel(b, weights, packed, size, share) if tiles > 1 else None
        registers = b.registers(rows, run.widths)
        registers.clear()
        with b.serial(depth // steps, carry=registers) as turn:
            if ahead is not None:
                ahead.ask(b, turn * steps, steps)
            for k in range(steps):
                row = packed + (turn * (steps * width) + k * width)
                inputs = [(i, source + (turn * steps + (i * depth + k))) for i in range(rows)]
                add_outer_product(b, registers, run, (weights, row), (data, inputs))
        for i in range(rows):
            for q, (offset, lanes) in enumerate(run.vectors):
                place = target + i * p.out_c + offset
                b.store(sums, place, registers.get(i, q), lanes)

    loop = b.parallel if plan.sharing == "rows" else b.serial
    with b.serial(plan.positions) as position:
        for run in plan.runs:
            with b.serial(run.count) as panel, loop(shares.tiles) as share:
                for first, strips in parts(b, shares, share):
                    split = rows_of[strips]
                    number = share * split.tiles + shares.large_tiles * (most - split.tiles)
                    for start, count, size in split.parts():
                        with b.serial(count) as index:
                            row = b.let(first * plan.strip + start + index * size)
                            tile(run, position, panel, number + index, row, size)
                        number = number + count
