"""Depthwise convolution in NCHW by unrolled bands of planes: windows too large for other code.

Each tap of the window is a run of pixels of the band (``unrolled.py``), multiplied by one weight
and added to sums in registers.
"""

from __future__ import annotations

from dataclasses import dataclass

from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, minimum
from assay.compiler.kernels.microkernel import add_products
from assay.compiler.kernels.nchw.epilogue_writer import PlaneEpilogueWriter
from assay.compiler.kernels.nchw.unrolled import UnrolledBand
from assay.compiler.kernels.panels import split_columns
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.target import Isa

PANEL_VECTORS = 4  # sums in flight: as many as hide the latency while a product takes a load each
MOST_UNROLLED_TAPS = 25  # larger windows are looped over


@dataclass(frozen=True)
class BandWriter:
    """Writes planes of ``p``, one at a time."""

    b: KernelBuilder
    p: Conv2d
    isa: Isa
    source: Buffer
    weights: Buffer
    epilogue: PlaneEpilogueWriter
    output: Buffer

    def planes(self, image: Expr, batch: Expr, channel: Expr) -> None:
        """Write the planes that see the input plane at ``image``, which is number ``channel``.

        Bands of it are small enough for the first-level cache.
        """
        b, p = self.b, self.p
        band = UnrolledBand.within(p.rows, p.columns, self.isa.l1_bytes // 8, p.out_h)
        space = b.workspace("unrolled", band.size)
        multiplier = p.out_c // p.in_c
        with b.serial(-(-p.out_h // band.lines)) as index:
            line = b.let(minimum(index * band.lines, p.out_h - band.lines))
            band.fill(b, self.source, image, space, 0, line, self.isa.lanes())
            with b.serial(multiplier) as copy:
                target = b.let(channel * multiplier + copy)
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
