"""Convolution in NCHW by the kernel for NHWC: images and results are transposed on their way.

Register tiles are pixels by vectors of output channels, as in :mod:`kernels.direct`: weights come
in order and aligned. Output rows are done band by band. The image lines that a band sees are
transposed to [line, column, channel] first, and stay in the second-level cache. Results of a panel
are collected chunk by chunk, a few rows as [pixel, channel] in the nearest cache, and transposed
from there to the planes of the output. Threads share out bands, or, where each band would read
large weights anew, the chunks of one band after the other. An image that comes in NHWC, as that of
a network's first layer, is read where it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import gcd, prod
from typing import TYPE_CHECKING, Any

from assay.compiler.kernels import direct
from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, maximum, minimum
from assay.compiler.kernels.direct_panels import Panel, each_panel
from assay.compiler.kernels.direct_writer import DirectWriter, Part, RowTaps
from assay.compiler.kernels.nchw import convolution, pointwise
from assay.compiler.kernels.nchw.epilogue_writer import PlaneEpilogueWriter
from assay.compiler.kernels.nchw.turning import Chunk, PixelRange, read_pixels
from assay.compiler.kernels.panels import panel_count
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.splits import EvenSplit, column_vectors, split_evenly
from assay.compiler.kernels.tiles import PIPES
from assay.compiler.kernels.work import PLANNED_TASKS
from assay.compiler.target import Isa

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Cycles per vector on Zen 5, with AVX-512 and AVX2; transposing takes 5 there, 6 on Cascade Lake.
_TURNING = 6.0  # to transpose it: a load, three or four shuffles, a store; results are stored twice
_COPYING = 3.0  # to copy it as `unrolled.py` does
_UNALIGNED = 0.25  # of a product's time, where each vector of pixels lies in two cache lines
_LINE_BYTES = 64


def applicable(problem: Conv2d) -> bool:
    """Tell whether activations are NCHW and not gated, and the convolution is not depthwise."""
    p = problem
    return p.layout == "NCHW" and not p.input_gate and (p.groups == 1 or p.groups < p.in_c)


def worthwhile(problem: Conv2d, isa: Isa) -> bool:
    """Tell whether to transpose takes less time than :mod:`nchw.convolution` loses.

    Where pixels are seen in their order, :mod:`nchw.pointwise` loses next to nothing.
    """
    p, lanes = problem, isa.lanes()
    if pointwise.applicable(p):
        return False
    sums, images = prod(p.output_shape) // p.out_c, p.batch * p.in_c
    depth = prod(p.weights_shape[:3])
    vectors = p.groups * len(column_vectors(p.out_c // p.groups, lanes))
    read = images * p.in_h * p.in_w
    from_pixels = p.input_layout == "NHWC"
    moved = sums * p.out_c + (0 if from_pixels else read)
    here = sums * depth * vectors / PIPES + _TURNING * moved / lanes
    plan = convolution.make_plan(p, isa, PLANNED_TASKS)
    pixels = p.batch * plan.bands * sum(run.count * len(run.vectors) for run in plan.runs)
    # Outputs' lines lie side by side, and their size says how many vectors begin with a cache line.
    widest = max(run.packed_columns for run in plan.runs)
    near = 4 * depth * widest <= isa.l1_bytes // 2
    aligned = gcd(p.out_w, lanes) / lanes if near else 0
    misaligned = 0 if p.kernel_h * p.kernel_w == 1 else 1 - aligned
    crossing = 1 + _UNALIGNED * (4 * lanes / _LINE_BYTES) * misaligned
    copied = images * min(p.in_h, p.out_h * p.kernel_h) * p.out_w * p.kernel_w
    copied += read if from_pixels else 0
    there = pixels * depth * p.out_c / PIPES * crossing + _COPYING * copied / lanes
    return here < there


def pack(problem: Conv2d, isa: Isa, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pack weights HWIO as :func:`kernels.direct.pack` does."""
    return direct.pack(replace(problem, layout="NHWC"), isa, weights)


def generate(problem: Conv2d, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`Conv2d` says."""
    b = KernelBuilder()
    p, plan = problem, make_plan(problem, isa, parallel)
    source = b.parameter("input", p.input_shape)
    weights = b.parameter("weights", (direct.packed_size(p, plan.panels),))
    epilogue = PlaneEpilogueWriter(b, p.epilogue, p.output_shape)
    output = b.parameter("output", p.epilogue.stored_shape(p.output_shape))
    _Writer(b, isa.lanes(), plan, source, weights, epilogue, output).write()
    return b.function(name)


@dataclass(frozen=True)
class Plan:
    """Panels and tiles as in NHWC; output rows cut into chunks, of which a band has ``chunks``.

    If panels are shared by rows, threads deal out the bands, or with ``shares_bands`` the chunks of
    each.
    """

    p: Conv2d
    panels: direct.Plan
    rows: EvenSplit
    chunks: int
    shares_bands: bool

    @property
    def bands(self) -> int:
        """Bands of an image."""
        return -(-self.rows.tiles // self.chunks)

    @property
    def widest(self) -> int:
        """Columns of the widest panel."""
        return max(run.packed_columns for run in self.panels.runs)

    @property
    def most_rows(self) -> int:
        """Rows of the largest chunk."""
        return self.rows.small + (self.rows.large_tiles > 0)

    def start(self, chunk: Expr) -> Expr:
        """Return the first output row of a chunk."""
        large = self.rows.large_tiles
        return chunk * self.rows.small + (minimum(chunk, large) if large else 0)

    def end(self, band: Expr) -> Expr:
        """Return the chunk after a band's last."""
        return minimum((band + 1) * self.chunks, self.rows.tiles)

    def lines(self, row: Expr, end: Expr) -> tuple[Expr, Expr]:
        """Return the first image line that output rows from ``row`` to ``end`` see, and how many.

        Where they see none, it is one that they do not see.
        """
        p = self.p
        first = minimum(maximum(row * p.stride_h - p.pad_top, 0), p.in_h - 1)
        reach = (p.kernel_h - 1) * p.dilation_h + 1 - p.pad_top
        return first, maximum(minimum((end - 1) * p.stride_h + reach, p.in_h) - first, 1)

    def line_counts(self) -> list[int]:
        """Return how many image lines each band sees."""
        ends = [(self.start(i * self.chunks), self.start(self.end(i))) for i in range(self.bands)]
        return [self.lines(row, end)[1] for row, end in ends]


def make_plan(problem: Conv2d, isa: Isa, parallel: int) -> Plan:
    """Choose panels, chunks that fit the nearest cache, and bands that fit the next one."""
    p = problem
    panels = direct.make_plan(replace(p, layout="NHWC"), isa, parallel)
    if p.batch * p.out_h == 1:  # the tiles of a row meet again when its results are transposed
        several = p.groups * panel_count(panels.runs) > 1
        shared = panels.sharing != "nothing" and several
        panels = replace(panels, sharing="panels" if shared else "nothing")
    widest = max(run.packed_columns for run in panels.runs)
    fitting = isa.l1_bytes // 4 // (4 * widest * p.out_w)
    filling = 2 * -(-isa.lanes() // p.out_w) - 1  # cut evenly, each has a vector of pixels then
    chunk = max(fitting, filling)
    band = max(1, isa.l2_bytes // 2 // (4 * p.stride_h * p.in_w * p.in_c))
    # Each band reads all weights: where an outer cache holds them, there are no more bands for the
    # sake of threads, each of which transposes all of a band for itself instead.
    weight_bytes = 4 * direct.packed_size(p, panels)
    shares_bands = panels.sharing == "rows" and weight_bytes > isa.l2_bytes // 2
    if panels.sharing == "rows":
        dealt = -(-p.out_h // (parallel if shares_bands else -(-parallel // p.batch)))
        chunk = min(chunk, dealt)
        band = band if shares_bands else min(band, dealt)
    rows = split_evenly(p.out_h, chunk)
    chunks = -(-rows.tiles // -(-p.out_h // max(band, chunk)))
    plan = Plan(p, panels, rows, chunks, shares_bands)
    # A chunk's results are written all at once: stores to lines from afar would fill the queue.
    image = 0 if p.input_layout == "NHWC" else prod(p.input_shape)
    moved = weight_bytes + 4 * (prod(p.input_shape) + image + prod(p.output_shape))
    # Weights asked for behind the last panel would push out those that the next band starts with.
    panels = replace(
        panels,
        block_rows=min(p.out_h, plan.chunks * plan.most_rows),
        fetch_outputs=moved > isa.l2_bytes // 2,
        fetch_weights=panels.fetch_weights and plan.bands == 1,
    )
    return replace(plan, panels=panels)


@dataclass(frozen=True)
class _Writer:
    b: KernelBuilder
    lanes: int
    plan: Plan
    source: Buffer
    weights: Buffer
    epilogue: PlaneEpilogueWriter
    output: Buffer

    def write(self) -> None:
        """Deal out bands, or the panels or chunks of each."""
        b, plan = self.b, self.plan
        dealt = plan.panels.sharing == "rows" and not plan.shares_bands
        loop = b.parallel if dealt else b.serial
        with loop(plan.p.batch * plan.bands) as unit:
            self._band(b.let(unit // plan.bands), b.let(unit % plan.bands))

    def _band(self, batch: Expr, band: Expr) -> None:
        b, p, plan = self.b, self.plan.p, self.plan
        first, end = b.let(band * plan.chunks), b.let(plan.end(band))
        row = b.let(plan.start(first))
        line, lines = plan.lines(row, plan.start(end))
        image, above = self.source, b.let(batch * -p.in_h)
        if p.input_layout != "NHWC":
            above = b.let(line)
            image = self._image(batch, above, lines)
        size = plan.most_rows * p.out_w * plan.widest
        own = None if plan.shares_bands else b.workspace("results", size)

        def taps(b: KernelBuilder, row: Expr) -> RowTaps:
            tap, count = p.rows.taps(b, row)
            return RowTaps(count, row * p.stride_h + tap * p.dilation_h - p.pad_top - above, tap)

        part = Part(p.out_w, 0, 1, 0, taps, p.rows.some_see_nothing)

        def write_panel(panel: Panel) -> None:
            whole = plan.rows.tiles % plan.chunks == 0
            loop = b.parallel if plan.shares_bands else b.serial
            with loop(plan.chunks) as index, b.when(True if whole else first + index < end):
                top = b.let(plan.start(first + index))
                rows = b.let(plan.start(first + index + 1) - top)
                results = b.workspace("results", size) if own is None else own
                pixel = b.let(top * p.out_w)
                chunk = Chunk(b, self.epilogue, panel, self.output, batch, pixel)
                writer = DirectWriter(b, p, plan.panels, image, self.weights, chunk, results, part)
                with b.serial(rows) as turn:
                    at = b.let(top + turn)
                    writer.write_panel_row(panel, 0, at, at - row)
                pixels = PixelRange(b.let(rows * p.out_w), plan.rows.small * p.out_w)
                chunk.write(results, pixels)

        each_panel(b, p, plan.panels, write_panel)

    def _image(self, batch: Expr, line: Expr, lines: Expr) -> Buffer:
        """Return the image lines that a band sees, as [line, column, channel]."""
        b, p = self.b, self.plan.p
        counts, plane = self.plan.line_counts(), p.in_h * p.in_w
        image = b.workspace("image", max(counts) * p.in_w * p.in_c)
        start = b.let(batch * (p.in_c * plane) + line * p.in_w)
        pixels = PixelRange(b.let(lines * p.in_w), min(counts) * p.in_w)
        read_pixels(b, (self.source, start), (p.in_c, plane), pixels, image, self.lanes)
        return image
