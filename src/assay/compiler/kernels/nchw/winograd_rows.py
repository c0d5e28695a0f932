"""Winograd's method along rows with results in NCHW, of an image that comes in NHWC.

That of a network's first layer does. All is as in ``kernels/winograd_rows.py`` but for the results:
those of a few columns and a vector of channels are transposed in registers, row by row, and stored
to the planes of the output.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assay.compiler.kernels import winograd_rows
from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, minimum
from assay.compiler.kernels.epilogue_writer import LINE_FLOATS
from assay.compiler.kernels.nchw.epilogue_writer import PlaneEpilogueWriter
from assay.compiler.kernels.panels import PanelRun
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.shuffles import transposed
from assay.compiler.kernels.splits import floor_power_of_two
from assay.compiler.kernels.winograd_rows_writer import (
    POSITIONS,
    Corner,
    Results,
    output_rows,
    tap_count,
)
from assay.compiler.kernels.winograd_transforms import apply_output
from assay.compiler.target import Isa

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def applicable(problem: Conv2d) -> bool:
    """Tell whether the method fits the window, from NHWC to NCHW."""
    p = problem
    return (p.input_layout, p.layout) == ("NHWC", "NCHW") and winograd_rows.fits(p)


def worthwhile(problem: Conv2d, isa: Isa) -> bool:
    """Tell whether the estimate beats the direct kernel's by enough; both transpose results."""
    return winograd_rows.worthwhile(problem, isa)


def pack(problem: Conv2d, isa: Isa, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Transform and pack weights HWIO as :func:`kernels.winograd_rows.pack` does."""
    return winograd_rows.pack(problem, isa, weights)


def generate(problem: Conv2d, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`Conv2d` says."""

    def results(b: KernelBuilder) -> Results:
        epilogue = PlaneEpilogueWriter(b, problem.epilogue, problem.output_shape)
        output = b.parameter("output", problem.epilogue.stored_shape(problem.output_shape))
        return _Results(b, problem, epilogue, output)

    return winograd_rows.generate_with(results, problem, isa, name, parallel)


@dataclass(frozen=True)
class _Results:
    """Writes results in NCHW, a square of columns and channels at a time."""

    b: KernelBuilder
    p: Conv2d
    epilogue: PlaneEpilogueWriter
    output: Buffer

    def prefetch(self, run: PanelRun, channel: Expr, corner: Corner, columns: int) -> None:
        """Ask for where a group's results go; the group before has asked for the first lines."""
        b, p = self.b, self.p
        with b.serial(output_rows(p)) as row:
            pixel = b.let((corner.row + row) * p.out_w + corner.column)
            for last in range(columns - 1, -1, -LINE_FLOATS):
                for offset, lanes in run.vectors:
                    for number in range(offset, offset + lanes):
                        place = (channel + number, pixel + last)
                        self.epilogue.prefetch(self.output, corner.batch, *place)

    def write(
        self, run: PanelRun, channel: Expr, corner: Corner, columns: int, sums: Buffer
    ) -> None:
        """Write a group of columns, from ``corner`` down."""
        b, p, width, rows = self.b, self.p, run.packed_columns, output_rows(self.p)
        for start, (offset, lanes) in zip(run.packed_starts(), run.vectors, strict=True):
            side = min(lanes, floor_power_of_two(columns))
            patch = b.workspace("patch", rows * side * lanes)
            bias = self.epilogue.start_channels(channel + offset, lanes)
            with b.serial(-(-columns // side)) as turn:
                first = b.let(minimum(turn * side, columns - side))
                with b.serial(side) as q:
                    index = b.let(first + q)
                    places = [(n * columns + index) * width + start for n in range(POSITIONS)]
                    values = [b.let(b.load(sums, place, lanes)) for place in places]
                    outputs = apply_output(b, rows, values, lanes, tap_count(p))
                    for i, value in enumerate(outputs):
                        b.store(patch, (i * side + q) * lanes, value + bias, lanes)
                with b.serial(b.let(minimum(p.out_h - corner.row, rows))) as i:
                    pixel = b.let((corner.row + i) * p.out_w + corner.column + first)
                    with b.serial(lanes // side) as part:
                        place = b.let(i * (side * lanes) + part * side)
                        square = [
                            b.let(b.load(patch, place + q * lanes, side)) for q in range(side)
                        ]
                        tile = b.registers(side, (side,))
                        for q, line in enumerate(transposed(b, square)):
                            tile.put(q, 0, line)
                        target = b.let(channel + offset + part * side)
                        self.epilogue.write_tile(
                            tile, self.output, corner.batch, target, pixel, [(0, side)]
                        )
