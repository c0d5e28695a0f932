"""Maximum and average pooling in NCHW, with any window and padding.

As depthwise convolution, without weights: bands of a plane are unrolled, with what does not change
a result beside the image, and the runs of pixels of all taps are combined.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from tvm import tirx

from assay.compiler.kernels.builder import (
    Buffer,
    Expr,
    KernelBuilder,
    RegisterTile,
    broadcast,
    constant,
    maximum,
    minimum,
)
from assay.compiler.kernels.nchw.epilogue_writer import PlaneEpilogueWriter
from assay.compiler.kernels.nchw.unrolled import UnrolledBand
from assay.compiler.kernels.panels import PanelRun, split_columns
from assay.compiler.kernels.pool import LOWEST, Pool2d
from assay.compiler.kernels.splits import column_vectors
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

PANEL_VECTORS = 4  # results in flight


def applicable(problem: Pool2d) -> bool:
    """Tell whether activations are NCHW."""
    return problem.layout == "NCHW"


def generate(problem: Pool2d, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`Pool2d` says."""
    b = KernelBuilder()
    p = problem
    source = b.parameter("input", p.input_shape)
    epilogue = PlaneEpilogueWriter(b, p.epilogue, p.output_shape, sums_start=False)
    output = b.parameter("output", p.epilogue.stored_shape(p.output_shape))
    moved = 4 * (prod(p.input_shape) + prod(p.output_shape))
    tasks = task_count(isa, parallel, p.flops, moved)
    _Writer(b, isa, p, source, epilogue, output).write(tasks)
    return b.function(name)


@dataclass(frozen=True)
class _Writer:
    b: KernelBuilder
    isa: Isa
    p: Pool2d
    source: Buffer
    epilogue: PlaneEpilogueWriter
    output: Buffer

    def write(self, tasks: int) -> None:
        """Deal out planes; bands of them are small enough for the first-level cache."""
        b, p = self.b, self.p
        counts = self._counts()
        band = UnrolledBand.within(p.rows, p.columns, self.isa.l1_bytes // 8, p.out_h)
        loop = b.parallel if tasks > 1 else b.serial
        with loop(p.batch * p.channels) as plane:
            space = b.workspace("unrolled", band.size)
            image = b.let(plane * (p.in_h * p.in_w))
            nothing = LOWEST if p.kind == "max" else 0.0
            beside = nothing if p.border is None else max(p.border, LOWEST)
            with b.serial(-(-p.out_h // band.lines)) as index:
                line = b.let(minimum(index * band.lines, p.out_h - band.lines))
                band.fill(b, self.source, image, space, 0, line, self.isa.lanes(), beside)
                for run in split_columns(band.lines * p.out_w, self.isa.lanes(), PANEL_VECTORS):
                    with b.serial(run.count) as panel:
                        start = b.let(run.start + panel * run.packed_columns)
                        tile = self._combined(band, run, space, start)
                        pixel = b.let(line * p.out_w + start)
                        self._finish(tile, run, counts, pixel)
                        batch, channel = b.let(plane // p.channels), b.let(plane % p.channels)
                        self.epilogue.write_tile(
                            tile, self.output, batch, channel, pixel, run.vectors
                        )

    def _combined(
        self, band: UnrolledBand, run: PanelRun, space: Buffer, start: Expr
    ) -> RegisterTile:
        b, p = self.b, self.p
        tile = b.registers(1, run.widths)
        tile.fill([constant(LOWEST if p.kind == "max" else 0.0, lanes) for lanes in run.widths])
        with b.serial(p.kernel_h, carry=tile) as i, b.serial(p.kernel_w, carry=tile) as j:
            place = b.let(start + band.tap(i, j))
            for index, (offset, lanes) in enumerate(run.vectors):
                value, so_far = b.load(space, place + offset, lanes), tile.get(0, index)
                tile.put(0, index, maximum(so_far, value) if p.kind == "max" else so_far + value)
        return tile

    def _finish(
        self, tile: RegisterTile, run: PanelRun, counts: Buffer | None, pixel: Expr
    ) -> None:
        """Divide sums by how many pixels they are of."""
        b, p = self.b, self.p
        if p.kind == "max":
            return
        for index, (offset, lanes) in enumerate(run.vectors):
            if counts is None:
                divisor = constant(float(p.kernel_h * p.kernel_w), lanes)
            else:
                divisor = b.load(counts, pixel + offset, lanes)
            tile.put(0, index, tile.get(0, index) / divisor)

    def _counts(self) -> Buffer | None:
        """Write a plane of how many taps of each output are on the image, if that differs."""
        b, p = self.b, self.p
        whole = p.rows.complete_outputs() == range(p.out_h)
        whole = whole and p.columns.complete_outputs() == range(p.out_w)
        if p.kind == "max" or p.border is not None or whole:
            return None
        counts = b.workspace("counts", p.out_h * p.out_w)
        across = [sum(p.columns.inside(x, t) for t in range(p.kernel_w)) for x in range(p.out_w)]
        with b.serial(p.out_h) as row:
            taps = b.let(tirx.Cast("float32", p.rows.taps(b, row)[1]))
            for start, lanes in column_vectors(p.out_w, self.isa.lanes()):
                factors = [constant(float(n)) for n in across[start : start + lanes]]
                vector = factors[0]
                if lanes > 1:
                    vector = tirx.Shuffle(factors, [tirx.IntImm("int32", i) for i in range(lanes)])
                value = maximum(vector * broadcast(taps, lanes), constant(1.0, lanes))
                b.store(counts, row * p.out_w + start, value, lanes)
        return counts
