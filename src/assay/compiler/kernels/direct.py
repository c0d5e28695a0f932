"""Direct convolution of any window, stride, dilation, padding and number of groups.

A register tile is a few output columns of one row by a panel of output channels. Weights are packed
as panels [kernel_h][kernel_w][in_c / groups][panel columns]. Window rows that leave the image are
skipped by the bounds of the loop over them; column tiles at the image's edge are generated apart,
with only the taps that exist, so that there is neither a padding pass nor a test inside.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

from assay.compiler.kernels.builder import KernelBuilder
from assay.compiler.kernels.direct_writer import DirectWriter
from assay.compiler.kernels.epilogue_writer import EpilogueWriter
from assay.compiler.kernels.panels import (
    PanelRun,
    pack_panels,
    packed_columns,
    panel_count,
    split_columns,
)
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.tiles import choose_tile, steps_per_turn
from assay.compiler.kernels.windows import OutputTiles, tile_outputs
from assay.compiler.kernels.work import Sharing, choose_sharing, task_count
from assay.compiler.target import Isa

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def applicable(problem: Conv2d) -> bool:
    """Tell whether the kernel fits: always, but for a gated input."""
    return not problem.input_gate


def pack(problem: Conv2d, isa: Isa, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pack weights HWIO group by group into column panels, flat."""
    import numpy as np

    matrix = weights.reshape(-1, problem.out_c)
    runs = make_plan(problem, isa, 1).runs
    groups = np.split(matrix, problem.groups, axis=1)
    return np.concatenate([pack_panels(group, runs) for group in groups])


def packed_size(problem: Conv2d, plan: Plan) -> int:
    """Return how many packed weights there are."""
    return prod(problem.weights_shape[:3]) * problem.groups * packed_columns(plan.runs)


def generate(problem: Conv2d, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`Conv2d` says."""
    b = KernelBuilder()
    p = problem
    plan = make_plan(p, isa, parallel)
    source = b.parameter("input", p.input_shape)
    weights = b.parameter("weights", (packed_size(p, plan),))
    epilogue = EpilogueWriter(b, p.epilogue, p.output_shape)
    output = b.parameter("output", p.epilogue.stored_shape(p.output_shape))
    DirectWriter(b, p, plan, source, weights, epilogue, output).write()
    return b.function(name)


@dataclass(frozen=True)
class Plan:
    """Column panels of each group, tiles of output columns, output rows per block, threads.

    A turn of the innermost loop takes ``steps`` of depth, if its length is a multiple of them.
    ``only_block`` says that there is one block of rows; threads share out its rows then.
    ``fetch_outputs`` asks for where results go, ``fetch_weights`` for the next panel.
    """

    runs: tuple[PanelRun, ...]
    tiles: tuple[OutputTiles, ...]
    steps: int
    block_rows: int
    only_block: bool
    sharing: Sharing
    fetch_outputs: bool
    fetch_weights: bool

    @property
    def tiles_per_panel(self) -> int:
        """Tiles that a panel is read for, one after the other."""
        return self.block_rows * self.tiles_per_row

    @property
    def tiles_per_row(self) -> int:
        """Tiles of an output row."""
        return sum(run.count for run in self.tiles)


def make_plan(p: Conv2d, isa: Isa, parallel: int) -> Plan:
    """Choose panels, tiles, blocks and what threads share out."""
    depth, columns = prod(p.weights_shape[:3]), p.out_c // p.groups
    tile = choose_tile(isa, p.out_w, columns, depth)
    runs = split_columns(columns, isa.lanes(), tile.vectors)
    input_bytes, weight_bytes = 4 * prod(p.input_shape), 4 * depth * p.groups * packed_columns(runs)
    moved = input_bytes + weight_bytes + 4 * prod(p.output_shape)
    tasks = task_count(isa, parallel, p.flops, moved)
    tiles = tile_outputs(p.columns, tile.rows)
    lines, panel_parts = p.batch * p.out_h, p.groups * panel_count(runs)
    row_parts = sum(run.count for run in tiles) if lines == 1 else lines
    sharing = choose_sharing(tasks, row_parts, panel_parts, input_bytes, weight_bytes)

    block_rows = 1
    if weight_bytes > isa.l1_bytes // 2:
        row_bytes = 4 * p.stride_h * p.in_w * p.in_c
        block_rows = max(1, min(p.out_h, isa.l2_bytes // 2 // row_bytes))
    only_block = p.batch * -(-p.out_h // block_rows) == 1
    if sharing == "rows" and p.batch < tasks and not only_block:
        block_rows = min(block_rows, -(-p.out_h // tasks))
    fetch_outputs = moved > isa.l2_bytes
    steps = steps_per_turn(isa, tile.rows)
    plan = Plan(runs, tiles, steps, block_rows, only_block, sharing, fetch_outputs, False)
    reused = weight_bytes > isa.l1_bytes and plan.tiles_per_panel > 1
    return replace(plan, fetch_weights=reused and panel_parts > 1)
