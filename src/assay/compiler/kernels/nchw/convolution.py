"""Convolution in NCHW as a matrix product of weights and pixels: any window, stride and groups.

A register tile is a few output channels by a few vectors of pixels. One step of depth loads the
vectors of one input channel, seen through one tap of the window, and multiplies each by one weight
per output channel. Bands of the image are unrolled first (``unrolled.py``). Pixels are the outer
loop: the inputs of a few vectors of pixels meet all weights while they are in the nearest cache.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assay.compiler.kernels.builder import (
    Buffer,
    Expr,
    KernelBuilder,
    RegisterTile,
    minimum,
)
from assay.compiler.kernels.microkernel import add_products
from assay.compiler.kernels.nchw.epilogue_writer import PlaneEpilogueWriter
from assay.compiler.kernels.nchw.unrolled import UnrolledBand
from assay.compiler.kernels.panels import PanelRun, pack_tiles, split_columns
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.splits import EvenSplit, split_evenly
from assay.compiler.kernels.tiles import choose_tile
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_UNROLLED_TAPS = 16  # windows with more are looped over


def applicable(problem: Conv2d) -> bool:
    """Tell whether the kernel fits: results have to be NCHW, the image NHWC only as a whole."""
    p = problem
    whole = p.groups == 1 and not p.input_gate
    return p.layout == "NCHW" and (p.input_layout is None or whole)


def pack(problem: Conv2d, isa: Isa, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pack weights HWIO by tiles of output channels, flat.

    Each tile is [input channel][column of the window][row of the window][channel].
    """
    import numpy as np

    p, plan = problem, make_plan(problem, isa, 1)
    matrix = weights.transpose(2, 1, 0, 3).reshape(plan.depth, p.groups, plan.channels)
    groups = [pack_tiles(matrix[:, group], plan.tiles) for group in range(p.groups)]
    return np.ascontiguousarray(np.concatenate(groups), dtype=np.float32)


def generate(problem: Conv2d, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`Conv2d` says."""
    b = KernelBuilder()
    p, plan = problem, make_plan(problem, isa, parallel)
    source = b.parameter("input", p.input_shape)
    weights = b.parameter("weights", (plan.depth * p.out_c,))
    gate = b.parameter("gate", p.gate_shape) if p.input_gate else None
    epilogue = PlaneEpilogueWriter(b, p.epilogue, p.output_shape)
    output = b.parameter("output", p.epilogue.stored_shape(p.output_shape))
    _Writer(b, isa, plan, source, weights, gate, epilogue, output).write()
    return b.function(name)


@dataclass(frozen=True)
class Plan:
    """A convolution cut up: bands of output lines, pixel panels of each, tiles of channels.

    Threads share out bands if the convolution is ``shared``. ``fetch_outputs`` asks for where
    results go.
    """

    p: Conv2d
    lines: int
    runs: tuple[PanelRun, ...]
    tiles: EvenSplit
    shared: bool
    band: UnrolledBand
    fetch_outputs: bool

    @property
    def bands(self) -> int:
        """Bands of each image; the last may overlap the one before."""
        return -(-self.p.out_h // self.lines)

    @property
    def channels(self) -> int:
        """Output channels of a group."""
        return self.p.out_c // self.p.groups

    @property
    def inputs(self) -> int:
        """Input channels of a group."""
        return self.p.in_c // self.p.groups

    @property
    def depth(self) -> int:
        """Products of one output."""
        return self.inputs * self.p.kernel_h * self.p.kernel_w

    @property
    def taps(self) -> Taps:
        """What an output sums: columns of the window, some of them together if they are short."""
        p = self.p
        fitting = range(1, max(1, MOST_UNROLLED_TAPS // p.kernel_h) + 1)
        together = max(columns for columns in fitting if p.kernel_w % columns == 0)
        step = self.band.size // p.kernel_w
        turns, count = self.inputs * p.kernel_w // together, p.kernel_h * together
        return Taps(turns, count, step * together, self._tap)

    def _tap(self, tap: Expr) -> Expr:
        """Return where a tap of the first columns has its pixel of the band's first output."""
        row, column = tap % self.p.kernel_h, tap // self.p.kernel_h
        return self.band.tap(row, column)


def make_plan(problem: Conv2d, isa: Isa, parallel: int) -> Plan:
    """Choose bands, tiles and what the threads share out."""
    p = problem
    channels, inputs = p.out_c // p.groups, p.in_c // p.groups
    depth = inputs * p.kernel_h * p.kernel_w
    input_bytes = 4 * p.batch * p.in_h * p.in_w * p.in_c
    weight_bytes = 4 * depth * p.out_c
    moved = input_bytes + weight_bytes + 4 * p.batch * p.out_h * p.out_w * p.out_c
    tasks = task_count(isa, parallel, p.flops, moved)
    # Packed weights depend on the tile, which therefore may not depend on the number of threads.
    tile = choose_tile(isa, channels, p.out_h * p.out_w, depth)
    tiles = split_evenly(channels, tile.rows)
    elements = isa.l2_bytes // 2 // (4 * inputs)
    band = UnrolledBand.within(p.rows, p.columns, elements, -(-p.out_h // tasks))
    runs = split_columns(band.lines * p.out_w, isa.lanes(), tile.vectors)
    return Plan(p, band.lines, runs, tiles, tasks > 1, band, moved > isa.l2_bytes)


@dataclass(frozen=True)
class _Part:
    """A band of one group of one image: its unrolled pixels, and its first output pixel."""

    batch: Expr
    group: Expr
    pixels: Buffer
    first: Expr


@dataclass(frozen=True)
class _Writer:
    b: KernelBuilder
    isa: Isa
    plan: Plan
    source: Buffer
    weights: Buffer
    gate: Buffer | None
    epilogue: PlaneEpilogueWriter
    output: Buffer

    def write(self) -> None:
        """Deal out bands."""
        b, plan = self.b, self.plan
        loop = b.parallel if plan.shared else b.serial
        with loop(plan.p.batch * plan.p.groups * plan.bands) as index:
            part = self._unrolled(index)
            for run in plan.runs:
                with b.serial(run.count) as panel:
                    self._panel(part, run, panel)

    def _unrolled(self, index: Expr) -> _Part:
        b, plan, p, band = self.b, self.plan, self.plan.p, self.plan.band
        unit, number = b.let(index // plan.bands), index % plan.bands
        line = b.let(minimum(number * plan.lines, p.out_h - plan.lines))
        space = b.workspace("unrolled", plan.inputs * band.size)
        if p.input_layout == "NHWC":
            image = b.let(unit * (p.in_h * p.in_w * p.in_c))
            band.fill_from_pixels(b, self.source, image, p.in_c, space, line, self.isa.lanes())
            return _Part(unit, 0, space, b.let(line * p.out_w))
        with b.serial(plan.inputs) as channel:
            image = b.let((unit * plan.inputs + channel) * (p.in_h * p.in_w))
            start = b.let(channel * band.size)
            band.fill(b, self.source, image, space, start, line, self.isa.lanes())
        batch, group = b.let(unit // p.groups), b.let(unit % p.groups)
        return _Part(batch, group, space, b.let(line * p.out_w))

    def _panel(self, part: _Part, run: PanelRun, panel: Expr) -> None:
        b = self.b
        for start, count, size in self.plan.tiles.parts():
            with b.serial(count) as index:
                self._tile(part, run, panel, b.let(start + index * size), size)

    def _tile(self, part: _Part, run: PanelRun, panel: Expr, row: Expr, rows: int) -> None:
        """Write ``rows`` output channels, from ``row`` of the group on, of one panel of pixels."""
        b, plan = self.b, self.plan
        channel = b.let(part.group * plan.channels + row)
        column = b.let(run.start + panel * run.packed_columns)
        packed = b.let(channel * plan.depth)
        tile = b.registers(rows, run.widths)
        for i in range(rows):
            for index, lanes in enumerate(run.widths):
                tile.put(i, index, self.epilogue.start(channel + i, lanes))
        pixel = b.let(part.first + column)
        if plan.fetch_outputs:
            for i in range(rows):
                for offset, _ in run.vectors:
                    self.epilogue.prefetch(self.output, part.batch, channel + i, pixel + offset)
        self._sum(part, run, tile, column, packed)
        self.epilogue.write_tile(tile, self.output, part.batch, channel, pixel, run.vectors)

    def _sum(
        self, part: _Part, run: PanelRun, tile: RegisterTile, first: Expr, packed: Expr
    ) -> None:
        b, plan, p, taps = self.b, self.plan, self.plan.p, self.plan.taps

        def factor(turn: Expr) -> Expr:
            channel = turn // (taps.turns // plan.inputs)
            inputs = part.batch * p.in_c + part.group * plan.inputs + channel
            return b.let(b.load(self.gate, inputs))

        weights, pixels = (self.weights, packed), (part.pixels, first)
        add_taps(b, tile, run, taps, weights, pixels, factor if self.gate is not None else None)


@dataclass(frozen=True)
class Taps:
    """What an output sums: ``turns`` times ``count`` taps, ``step`` elements further each time.

    ``place(tap)`` is where one of the first taps has its pixel of the first output.
    """

    turns: int
    count: int
    step: int
    place: Callable[[Expr], Expr]


def add_taps(
    b: KernelBuilder,
    tile: RegisterTile,
    run: PanelRun,
    taps: Taps,
    weights: tuple[Buffer, Expr],
    pixels: tuple[Buffer, Expr],
    factor: Callable[[Expr], Expr] | None = None,
) -> None:
    """Add all products to a tile of output channels by vectors of pixels.

    ``weights`` are packed weights and where those of the tile start, ``pixels`` a buffer and where
    the first output's start; ``factor(turn)`` is what scales the inputs of a turn.
    """
    unrolled = taps.count if taps.count <= MOST_UNROLLED_TAPS else 1
    with b.serial(taps.turns * (taps.count // unrolled), carry=tile) as index:
        turn = index if unrolled == taps.count else b.let(index // taps.count)
        start = b.let(pixels[1] + turn * taps.step)
        scale = factor(turn) if factor else None
        for number in range(unrolled):
            tap = number if unrolled == taps.count else b.let(index % taps.count)
            place = b.let(start + taps.place(tap))
            vectors = [(place + offset, lanes) for offset, lanes in run.vectors]
            weight = weights[1] + (index * unrolled + number) * tile.rows
            rows = [(i, weight + i) for i in range(tile.rows)]
            add_products(b, tile, (pixels[0], vectors), (weights[0], rows), scale)
