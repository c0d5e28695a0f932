"""How an integer product is cut up: column panels, register tiles, parts of the output, threads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

from assay.compiler.kernels.builder import Expr, KernelBuilder, minimum
from assay.compiler.kernels.int8.depth import LINE_BYTES, Depth
from assay.compiler.kernels.int8.dot import Dot
from assay.compiler.kernels.int8.panels import split_columns
from assay.compiler.kernels.int8.views import Part, View
from assay.compiler.kernels.panels import PanelRun, packed_columns, panel_count
from assay.compiler.kernels.splits import EvenSplit, split_evenly
from assay.compiler.kernels.tiles import choose_tile
from assay.compiler.kernels.work import Sharing, choose_sharing, task_count
from assay.compiler.target import Isa

# Registers, for 16 sums: measured on Zen 4, which looks 320 instructions ahead.
MOST_WITH_ADDITION = 22


@dataclass(frozen=True)
class Grid:
    """The output: images of lines of pixels, and for each of the groups some columns."""

    batch: int
    lines: int
    pixels: int
    groups: int
    columns: int

    @property
    def rows(self) -> int:
        """All pixels, which are the rows of the matrix."""
        return self.batch * self.lines * self.pixels


@dataclass(frozen=True)
class Placement:
    """Which pixel of the output tensor a pixel of the grid is: ``first``, and what each adds."""

    image_step: int
    line_step: int
    pixel_step: int
    first: Expr = 0


@dataclass(frozen=True)
class Cut:
    """Tiles of a line of the grid, and panels of a group's columns.

    ``rate`` is how many products a lane does with one instruction, ``step`` how many bytes of a
    column's weights follow each other. ``few_parts`` says that to begin a part takes time.
    """

    tiles: EvenSplit
    runs: tuple[PanelRun, ...]
    rate: int
    step: int
    few_parts: bool = False


@dataclass(frozen=True)
class Plan:
    """Panels of one group; tiles of a line; a part is some lines, or some tiles of one line.

    ``fetches_weights`` says that while a panel is read, the next one is asked for.
    """

    grid: Grid
    runs: tuple[PanelRun, ...]
    tiles: EvenSplit
    part_lines: int
    part_tiles: int
    sharing: Sharing
    fetches_weights: bool

    @property
    def splits_lines(self) -> bool:
        """Whether parts are less than a line."""
        return self.part_tiles < self.tiles.tiles

    @property
    def parts(self) -> int:
        """Parts of all images."""
        per_line = -(-self.tiles.tiles // self.part_tiles)
        return self.grid.batch * -(-self.grid.lines // self.part_lines) * per_line

    def first_pixel(self, tile: Expr) -> Expr:
        """Return where a tile starts in its line."""
        return tile * self.tiles.small + minimum(tile, self.tiles.large_tiles)

    def end_pixel(self, tile: Expr) -> Expr:
        """Return where the tiles before one end."""
        return self.first_pixel(tile)

    def part(self, b: KernelBuilder, index: Expr) -> tuple[Part, Expr, Expr]:
        """Return a part, its first tile and how many tiles of a line it has."""
        grid, tiles = self.grid, self.tiles.tiles
        per_line, per_image = -(-tiles // self.part_tiles), -(-grid.lines // self.part_lines)
        tile = b.let(index % per_line * self.part_tiles)
        line = b.let(index // per_line % per_image * self.part_lines)
        lines = self._at_most(self.part_lines, grid.lines, line)
        count = b.let(self._at_most(self.part_tiles, tiles, tile))
        pixel = b.let(self.first_pixel(tile))
        pixels = b.let(self.end_pixel(tile + count) - pixel)
        most = self.end_pixel(self.part_tiles) if self.splits_lines else grid.pixels
        image = b.let(index // (per_line * per_image))
        return Part(image, line, b.let(lines), self.part_lines, pixel, pixels, most), tile, count

    @staticmethod
    def _at_most(size: int, total: int, first: Expr) -> Expr:
        return size if total % size == 0 else minimum(size, total - first)


PlanType = TypeVar("PlanType", bound=Plan)


def tile_isa(isa: Isa, dot: Dot, weights_zero_point: int, *, added: bool) -> Isa:
    """Return the instruction set as the rule for tiles has to see it.

    The rule asks whether a product needs a register of its own before it is added; weights that
    are widened keep their zero point in another one. A tile to which something is ``added`` is kept
    smaller: so much is to be done to its sums that a core would not look past that to the products
    of the next tile.
    """
    kept = dot.wide_weights and weights_zero_point != 0
    registers = min(isa.registers, MOST_WITH_ADDITION) if added else isa.registers
    return replace(isa, fma=dot.fused, registers=registers - kept)


def vector_cut(isa: Isa, dot: Dot, grid: Grid, depth: Depth) -> Cut:
    """Return the register tiles, and the panels that weights are packed in.

    ``isa`` is from ``tile_isa``.
    """
    tile = choose_tile(isa, grid.pixels, grid.columns, depth.steps(dot), most_sums=1.0)
    runs = split_columns(grid.columns, isa.lanes(), tile.vectors)
    rate = dot.taps if dot.fused else 1
    return Cut(split_evenly(grid.pixels, tile.rows), runs, rate, dot.taps)


def make_plan(
    isa: Isa,
    cut: Cut,
    grid: Grid,
    depth: Depth,
    view: View,
    input_bytes: int,
    parallel: int,
    kind: type[PlanType],
) -> PlanType:
    """Choose parts, and what threads share out."""
    runs, tiles = cut.runs, cut.tiles
    weight_bytes = depth.total * grid.groups * packed_columns(runs)
    products = grid.rows * grid.groups * grid.columns * depth.total
    moved = input_bytes + weight_bytes + grid.rows * grid.groups * grid.columns
    tasks = task_count(isa, parallel, 2 * products // cut.rate, moved)
    line_parts = grid.batch * grid.lines * (tiles.tiles if grid.lines == 1 else 1)
    panels = grid.groups * panel_count(runs)
    sharing = choose_sharing(tasks, line_parts, panels, input_bytes, weight_bytes)

    # What comes from beyond the second level is there in time; a single tile would read as fast.
    reused = weight_bytes > isa.l1_bytes // 2
    whole_lines = all(run.packed_columns * cut.step % LINE_BYTES == 0 for run in runs)
    fetches = reused and panels > 1 and line_parts > 1 and whole_lines
    if sharing == "panels":
        return kind(grid, runs, tiles, grid.lines, tiles.tiles, sharing, fetches)
    share = tasks if sharing == "rows" else 1
    whole = reused or cut.few_parts or view.bytes_needed(1, 1)
    budget = isa.l2_bytes // 2 if whole else 0
    if grid.lines == 1:
        rows = -(-tiles.total // tiles.tiles)
        bytes_per_tile = max(view.bytes_needed(1, rows), rows * depth.total)
        part_tiles = _limit(budget // bytes_per_tile, tiles.tiles, share)
        return kind(grid, runs, tiles, 1, part_tiles, sharing, fetches)
    first = view.bytes_needed(1, grid.pixels)
    bytes_per_line = max(view.bytes_needed(2, grid.pixels) - first, view.line_step)
    part_lines = _limit((budget - first) // bytes_per_line + 1, grid.lines, share)
    return kind(grid, runs, tiles, part_lines, tiles.tiles, sharing, fetches)


def _limit(fitting: int, total: int, share: int) -> int:
    return max(1, min(fitting, total, -(-total // share)))
