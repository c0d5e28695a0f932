"""Convolution with Winograd's method along the rows of the window: fewer multiplications, NHWC.

A strip of m output rows sees, of each phase (row of the window modulo the stride), the input rows
of a convolution of stride 1 with r or r - 1 taps, r = ceil(kernel_h / stride_h). They are
transformed to n = m + r - 1 positions, one row of the image each; phases of r - 1 taps have no
product at the last position, the point at infinity. A position's rows of all phases are then
convolved with the transformed rows of the window, along the image's width, as in :mod:`direct`, and
the sums are transformed back to output rows. A 7x7 window of stride 2 needs 11 of 21 products.

Transforms go along whole rows, so that their vectors are full however few channels the image has.
Relative to the root mean square of the sums, the largest error on random data is below 2e-5.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder
from assay.compiler.kernels.epilogue_writer import EpilogueWriter, Pixels
from assay.compiler.kernels.panels import PanelRun, pack_panels, packed_columns, split_columns
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.kernels.tiles import PIPES, choose_tile
from assay.compiler.kernels.winograd import share_on_image
from assay.compiler.kernels.winograd_rows_writer import (
    POSITIONS,
    Corner,
    DataWriter,
    Plan,
    Results,
    StripWriter,
    data_rows,
    output_rows,
    phase_count,
    tap_count,
)
from assay.compiler.kernels.winograd_transforms import apply_output, transforms
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SUM_CYCLES = 4  # per vector of sums: to store it, and to transform it back; on Zen 5
DATA_CYCLES = 3  # per vector of transformed data; on Zen 5
WEIGHT_BYTES_PER_CYCLE = 20  # weights are read once per inference, from an outer cache or memory
WORTHWHILE_GAIN = 1.2  # below that, not worth different last bits and larger weights


def applicable(problem: Conv2d) -> bool:
    """Tell whether rows of the window have several taps of a phase, and columns no gaps."""
    p = problem
    return p.layout == "NHWC" and fits(p)


def fits(problem: Conv2d) -> bool:
    """Tell whether the window is one that the method serves, whatever the layout."""
    p = problem
    plain = (p.dilation_h, p.dilation_w, p.groups, p.input_gate)
    return plain == (1, 1, 1, False) and 2 <= tap_count(p) <= POSITIONS - 1


def worthwhile(problem: Conv2d, isa: Isa) -> bool:
    """Tell whether the estimate beats the direct kernel's by enough."""
    p = problem
    vectors = -(-p.out_c // isa.lanes())
    line = p.kernel_w * p.in_c * vectors * p.out_w / PIPES
    weights = 4 * p.kernel_w * p.in_c * p.out_c / WEIGHT_BYTES_PER_CYCLE
    strips = -(-p.out_h // output_rows(p))
    sums = POSITIONS * p.out_w * vectors * SUM_CYCLES
    data = data_rows(p) * p.in_w * p.in_c / isa.lanes() * DATA_CYCLES
    cycles = strips * (data_rows(p) * line + sums + data) + data_rows(p) * weights
    on_image = share_on_image(p.rows, p.out_h) * share_on_image(p.columns, p.out_w)
    return WORTHWHILE_GAIN * cycles < p.kernel_h * (p.out_h * line * on_image + weights)


def pack(problem: Conv2d, isa: Isa, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Transform weights HWIO and pack each position's rows into column panels, flat."""
    import numpy as np

    p, taps = problem, tap_count(problem)
    padded = np.zeros((taps * p.stride_h, *weights.shape[1:]))
    padded[: p.kernel_h] = weights
    phases = padded.reshape(taps, p.stride_h, *weights.shape[1:])
    spread = np.einsum("nt,tq...->nq...", transforms(output_rows(p), taps).weights, phases)
    runs = _make_plan(p, isa, 1).runs
    matrices = [spread[n, : phase_count(p, n)].reshape(-1, p.out_c) for n in range(POSITIONS)]
    return np.concatenate([pack_panels(matrix.astype(np.float32), runs) for matrix in matrices])


def _make_plan(p: Conv2d, isa: Isa, parallel: int) -> Plan:
    length = p.kernel_w * p.in_c
    tile = choose_tile(isa, p.out_w, p.out_c, phase_count(p, 0) * length)
    runs = split_columns(p.out_c, isa.lanes(), tile.vectors)
    small = 4 * data_rows(p) * length * packed_columns(runs) <= isa.l1_bytes
    moved = 4 * (prod(p.input_shape) + prod(p.output_shape))
    strips = p.batch * -(-p.out_h // output_rows(p))
    tasks = min(task_count(isa, parallel, p.flops, moved), strips)
    tiles = 1 if p.layout == "NHWC" else -(-isa.lanes() // tile.rows)
    group = tiles * tile.rows if small else p.out_w
    return Plan(runs, tile.rows, group, tasks > 1, moved > isa.l2_bytes)


def generate(problem: Conv2d, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`Conv2d` says."""

    def results(b: KernelBuilder) -> Results:
        epilogue = EpilogueWriter(b, problem.epilogue, problem.output_shape)
        output = b.parameter("output", problem.epilogue.stored_shape(problem.output_shape))
        return _Results(b, problem, epilogue, output)

    return generate_with(results, problem, isa, name, parallel)


def generate_with(
    results: Callable[[KernelBuilder], Results], p: Conv2d, isa: Isa, name: str, parallel: int
) -> Any:
    """Return a kernel of which ``results`` declares the epilogue's operands and the output."""
    b = KernelBuilder()
    plan = _make_plan(p, isa, parallel)
    source = b.parameter("input", p.input_shape)
    packed_size = data_rows(p) * p.kernel_w * p.in_c * packed_columns(plan.runs)
    weights = b.parameter("weights", (packed_size,))
    target = results(b)
    strips = -(-p.out_h // output_rows(p))
    loop = b.parallel if plan.parallel else b.serial
    with loop(p.batch * strips) as unit:
        batch, first = b.let(unit // strips), b.let(unit % strips * output_rows(p))
        data = DataWriter(b, p, isa).write(source, batch, first)
        StripWriter(b, p, plan, data, weights, target).write(batch, first)
    return b.function(name)


@dataclass(frozen=True)
class _Results:
    """Writes results in NHWC, pixel by pixel."""

    b: KernelBuilder
    p: Conv2d
    epilogue: EpilogueWriter
    output: Buffer

    def prefetch(self, run: PanelRun, channel: Expr, corner: Corner, columns: int) -> None:
        """Ask for where a group's results go."""
        with self.b.serial(columns) as index:
            place = self.b.let(self._pixel(corner) + index)
            pixels = Pixels(place, output_rows(self.p), 1, self.p.out_w)
            self.epilogue.prefetch_tile(self.output, pixels, channel, run.vectors)

    def write(
        self, run: PanelRun, channel: Expr, corner: Corner, columns: int, sums: Buffer
    ) -> None:
        """Write a group of columns, from ``corner`` down."""
        b, p, width = self.b, self.p, run.packed_columns
        with b.serial(columns) as index:
            pixel = b.let(self._pixel(corner) + index)
            for start, (offset, lanes) in zip(run.packed_starts(), run.vectors, strict=True):
                places = [(n * columns + index) * width + start for n in range(POSITIONS)]
                values = [b.let(b.load(sums, place, lanes)) for place in places]
                bias = self.epilogue.start(channel + offset, lanes)
                outputs = apply_output(b, output_rows(p), values, lanes, tap_count(p))
                for i, value in enumerate(outputs):
                    whole = p.out_h % output_rows(p) == 0 or i == 0
                    with b.when(True if whole else corner.row + i < p.out_h):
                        number = b.let(pixel + i * p.out_w)
                        total = b.let(value + bias)
                        total = self.epilogue.finish(
                            total, number, corner.batch, channel + offset, lanes
                        )
                        place = self.epilogue.target(number, channel + offset)
                        b.store(self.output, place, total, lanes)

    def _pixel(self, corner: Corner) -> Expr:
        p = self.p
        return (corner.batch * p.out_h + corner.row) * p.out_w + corner.column
