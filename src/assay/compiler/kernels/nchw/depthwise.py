"""Depthwise convolution in NCHW: a plane at a time, vectors of pixels, any window.

Bands of a channel's plane are unrolled first (``unrolled.py``), so that each tap of the window is a
run of pixels, multiplied by one weight and added to sums in registers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, minimum
from assay.compiler.kernels.microkernel import add_products
from assay.compiler.kernels.nchw.epilogue_writer import PlaneEpilogueWriter
from assay.compiler.kernels.nchw.unrolled import UnrolledBand
from assay.compiler.kernels.panels import split_columns
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PANEL_VECTORS = 4  # sums in flight: as many as hide the latency while a product takes a load each
MOST_UNROLLED_TAPS = 25  # larger windows are looped over


def applicable(problem: Conv2d) -> bool:
    """Tell whether each group has one input channel, in NCHW."""
    p = problem
    return p.layout == "NCHW" and p.groups == p.in_c and not p.input_gate


def pack(problem: Conv2d, isa: Isa, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring weights [kernel_h, kernel_w, 1, out_c] into the order [out_c][tap], flat."""
    import numpy as np

    taps = weights.reshape(-1, problem.out_c)
    return np.ascontiguousarray(taps.T, dtype=np.float32).reshape(-1)


def generate(problem: Conv2d, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`Conv2d` says."""
    b = KernelBuilder()
    p = problem
    source = b.parameter("input", p.input_shape)
    weights = b.parameter("weights", (p.kernel_h * p.kernel_w * p.out_c,))
    epilogue = PlaneEpilogueWriter(b, p.epilogue, p.output_shape)
    output = b.parameter("output", p.epilogue.stored_shape(p.output_shape))
    moved = 4 * p.batch * (p.in_h * p.in_w * p.in_c + p.out_h * p.out_w * p.out_c)
    tasks = task_count(isa, parallel, p.flops, moved)
    _Writer(b, isa, p, source, weights, epilogue, output).write(tasks)
    return b.function(name)


@dataclass(frozen=True)
class _Writer:
    b: KernelBuilder
    isa: Isa
    p: Conv2d
    source: Buffer
    weights: Buffer
    epilogue: PlaneEpilogueWriter
    output: Buffer

    def write(self, tasks: int) -> None:
        """Deal out bands of planes, each of them small enough for the first-level cache."""
        b, p = self.b, self.p
        band = UnrolledBand.within(p.rows, p.columns, self.isa.l1_bytes // 8, p.out_h)
        loop = b.parallel if tasks > 1 else b.serial
        with loop(p.batch * p.in_c) as plane:
            space = b.workspace("unrolled", band.size)
            batch, channel = b.let(plane // p.in_c), b.let(plane % p.in_c)
            image = b.let(plane * (p.in_h * p.in_w))
            with b.serial(-(-p.out_h // band.lines)) as index:
                line = b.let(minimum(index * band.lines, p.out_h - band.lines))
                band.fill(b, self.source, image, space, 0, line, self.isa.lanes())
                with b.serial(p.out_c // p.in_c) as copy:
                    target = b.let(channel * (p.out_c // p.in_c) + copy)
                    self._band(band, space, batch, target, b.let(line * p.out_w))

    def _band(
        self, band: UnrolledBand, space: Buffer, batch: Expr, channel: Expr, pixel: Expr
    ) -> None:
        b, p = self.b, self.p
        taps = p.kernel_h * p.kernel_w
        unrolled = taps if taps <= MOST_UNROLLED_TAPS else 1
        first = b.let(channel * taps)
        for run in split_columns(band.lines * p.out_w, self.isa.lanes(), PANEL_VECTORS):
            with b.serial(run.count) as panel:
                start = b.let(run.start + panel * run.packed_columns)
                tile = b.registers(1, run.widths)
                for index, lanes in enumerate(run.widths):
                    tile.put(0, index, self.epilogue.start(channel, lanes))
                with b.serial(taps // unrolled, carry=tile) as turn:
                    for some in range(unrolled):
                        tap = turn * unrolled + some
                        place = b.let(start + band.tap(tap // p.kernel_w, tap % p.kernel_w))
                        vectors = [(place + offset, lanes) for offset, lanes in run.vectors]
                        add_products(b, tile, (space, vectors), (self.weights, [(0, first + tap)]))
                at = b.let(pixel + start)
                self.epilogue.write_tile(tile, self.output, batch, channel, at, run.vectors)
