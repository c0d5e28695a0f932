"""The register tile: how many rows by how many vectors a matrix kernel keeps in registers.

The rule estimates the cycles of every tile that fits the registers and takes the cheapest; among
near-ties the one with the fewest loads per product that leaves a register or two spare, so that
LLVM can load ahead. The estimate knows three limits of a core, in about the same proportion on
every x86 since Haswell and on large ARM cores: as many loads as multiply-adds per cycle, the
latency of a multiply-add, and the rate at which the outer caches deliver. Estimates are
within 5 % of measured times on Zen 5 for AVX-512, AVX2 and SSE2, while data come from the caches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from assay.compiler.kernels.panels import PanelRun, split_columns
from assay.compiler.kernels.splits import column_vectors, split_evenly
from assay.compiler.target import Isa

PIPES = 2  # multiply-adds, and loads, started per cycle
LATENCY = 5  # cycles until a sum can be added to again: 4, and tiles of just 8 sums are slower
ISSUE = 6  # instructions started per cycle
L2_BYTES_PER_CYCLE = 32
L3_BYTES_PER_CYCLE = 20
TILE_OVERHEAD = 20  # cycles to enter and leave a tile: addresses, loop exit mispredicted
NEAR_TIE = 1.02  # estimates closer than this say nothing about which tile is faster
# LLVM loads several broadcasts ahead and then runs out of registers, although they would suffice:
# with AVX-512, loops of 13 x 2 and 9 x 3 sums move and spill vectors, of 12 x 2 and 8 x 3 do not.
MOST_SUMS = 0.75  # of the registers; for a single vector, broadcasts are operands
# Two steps of depth in a turn save half of the loop's own instructions: a direct convolution of
# 7x7x256 pixels took 0.73 of the time on Cascade Lake. With more steps or more rows LLVM loads
# inputs so far ahead that sums are spilled, as it does with two where products take registers.
STEPS_PER_TURN = 2
MANY_ROWS = 10
FEW_TURNS = 16  # LLVM unrolls loops of fewer turns completely, with the same effect
MOST_VECTORS = 8  # wider panels than this gain nothing: a tile of one row then hides the latency


@dataclass(frozen=True)
class RegisterTile:
    """At most ``rows`` rows by ``vectors`` vectors."""

    rows: int
    vectors: int


def steps_per_turn(isa: Isa, rows: int) -> int:
    """Return how many steps of depth a turn of the innermost loop takes, for tiles of ``rows``."""
    return STEPS_PER_TURN if isa.fma and rows <= MANY_ROWS else 1


def steps_that_fit(steps: int, depth: int) -> int:
    """Return ``steps`` if they go into ``depth`` and leave a loop that stays one, else 1."""
    return steps if depth % steps == 0 and depth >= steps * FEW_TURNS else 1


def registers_needed(isa: Isa, rows: int, vectors: int) -> int:
    """Sums, one row of weights, one broadcast input; and a product where it is not fused.

    With a single vector the broadcast is an operand of the multiply-add and takes no register.
    """
    return rows * vectors + vectors + (vectors > 1) + (not isa.fma)


def tile_cycles(isa: Isa, rows: int, vectors: int, depth: int, panel_bytes: int) -> float:
    """Estimate the cycles of one register tile that sums over ``depth`` inputs."""
    products = rows * vectors
    loads = vectors + rows
    instructions = (products if isa.fma else 3 * products + rows) + loads
    step = max(products / PIPES, loads / PIPES, LATENCY, instructions / ISSUE)
    if panel_bytes > isa.l1_bytes // 2:
        rate = L2_BYTES_PER_CYCLE if panel_bytes <= isa.l2_bytes // 2 else L3_BYTES_PER_CYCLE
        step = max(step, panel_bytes / depth / rate)
    return depth * step + 2 * products + TILE_OVERHEAD


@lru_cache(maxsize=4096)
def choose_tile(
    isa: Isa, rows: int, columns: int, depth: int, most_sums: float = MOST_SUMS
) -> RegisterTile:
    """Choose the tile for a strip of ``rows`` by ``columns`` sums over ``depth`` inputs.

    A tile of several vectors takes at most that share of the registers for its sums.
    """
    costs = {
        tile: _cycles(isa, tile, rows, columns, depth)
        for tile in _fitting(isa, rows, columns)
        if tile.vectors == 1 or tile.rows * tile.vectors <= most_sums * isa.registers
    }
    bound = NEAR_TIE * min(costs.values())
    near = [tile for tile, cycles in costs.items() if cycles <= bound]
    return min(near, key=lambda tile: _second_choice(isa, tile))


def _second_choice(isa: Isa, tile: RegisterTile) -> tuple[bool, float]:
    spare = isa.registers - registers_needed(isa, tile.rows, tile.vectors)
    loads = tile.rows + tile.vectors
    return spare < isa.registers // 16, loads / (tile.rows * tile.vectors)


def _fitting(isa: Isa, rows: int, columns: int) -> Iterator[RegisterTile]:
    most_vectors = min(MOST_VECTORS, len(column_vectors(columns, isa.lanes())))
    for vectors in range(1, most_vectors + 1):
        for tile_rows in range(1, rows + 1):
            if registers_needed(isa, tile_rows, vectors) > isa.registers:
                break
            yield RegisterTile(tile_rows, vectors)


def _cycles(isa: Isa, tile: RegisterTile, rows: int, columns: int, depth: int) -> float:
    runs = split_columns(columns, isa.lanes(), tile.vectors)
    return sum(
        count * run.count * _panel_cycles(isa, run, size, depth)
        for _, count, size in split_evenly(rows, tile.rows).parts()
        for run in runs
    )


def _panel_cycles(isa: Isa, run: PanelRun, rows: int, depth: int) -> float:
    return tile_cycles(isa, rows, len(run.vectors), depth, 4 * depth * run.packed_columns)
