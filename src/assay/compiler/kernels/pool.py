"""Maximum and average pooling, float32 NHWC, with any window and padding.

One output pixel at a time, as many vectors of channels as registers allow; the loops over the
window have the bounds of the part that lies on the image. (Global pooling is a reduction.)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

from tvm import tirx

from assay.compiler.kernels.builder import (
    Buffer,
    Expr,
    KernelBuilder,
    RegisterTile,
    broadcast,
    constant,
    maximum,
)
from assay.compiler.kernels.epilogue import Epilogue
from assay.compiler.kernels.epilogue_writer import EpilogueWriter, Pixels
from assay.compiler.kernels.panels import PanelRun, split_columns
from assay.compiler.kernels.problem import Layout, image_shape
from assay.compiler.kernels.windows import Window
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

PANEL_VECTORS = 8  # channels per pass over a window: enough sums in flight, few loop turns
LOWEST = -3.4028234663852886e38  # what TFLite's MAX_POOL_2D starts from


@dataclass(frozen=True)
class Pool2d:
    """Pooling of images in ``layout``.

    ``border`` is the value of all pixels beside the image. If it is None, as TFLite's padding is,
    they take no part: an average divides by how much of the window is on the image. In an average
    it may only be 0. Kernel parameters, in order: input, epilogue operands, output.
    """

    kind: Literal["max", "average"]
    batch: int
    in_h: int
    in_w: int
    channels: int
    out_h: int
    out_w: int
    kernel_h: int
    kernel_w: int
    stride_h: int = 1
    stride_w: int = 1
    pad_top: int = 0
    pad_left: int = 0
    dilation_h: int = 1
    dilation_w: int = 1
    border: float | None = None
    epilogue: Epilogue = field(default=Epilogue())
    layout: Layout = "NHWC"

    @property
    def channel_axis(self) -> int:
        """The channels' axis of the activations."""
        return self.layout.index("C")

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """Shape of the input."""
        return image_shape(self.layout, self.batch, self.in_h, self.in_w, self.channels)

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        """Shape of the output."""
        return image_shape(self.layout, self.batch, self.out_h, self.out_w, self.channels)

    @property
    def rows(self) -> Window:
        """The window along the image's height."""
        return Window(
            self.in_h, self.out_h, self.kernel_h, self.stride_h, self.pad_top, self.dilation_h
        )

    @property
    def columns(self) -> Window:
        """The window along the image's width."""
        return Window(
            self.in_w, self.out_w, self.kernel_w, self.stride_w, self.pad_left, self.dilation_w
        )

    @property
    def flops(self) -> int:
        """One for each element of each window."""
        return prod(self.output_shape) * self.kernel_h * self.kernel_w

    @property
    def covers_image(self) -> bool:
        """Whether the only window is the whole image."""
        window = (self.kernel_h, self.kernel_w, self.out_h, self.out_w)
        plain = (self.pad_top, self.pad_left, self.dilation_h, self.dilation_w) == (0, 0, 1, 1)
        return plain and window == (self.in_h, self.in_w, 1, 1)


def applicable(problem: Pool2d) -> bool:
    """Tell whether the kernel fits: activations have to be NHWC."""
    return problem.layout == "NHWC"


def generate(problem: Pool2d, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`Pool2d` says."""
    b = KernelBuilder()
    source = b.parameter("input", problem.input_shape)
    epilogue = EpilogueWriter(b, problem.epilogue, problem.output_shape, sums_start=False)
    output = b.parameter("output", problem.epilogue.stored_shape(problem.output_shape))
    moved = 4 * (prod(problem.input_shape) + prod(problem.output_shape))
    tasks = task_count(isa, parallel, problem.flops, moved)
    _PoolWriter(b, problem, isa, source, epilogue, output).write(tasks)
    return b.function(name)


@dataclass(frozen=True)
class _PoolWriter:
    b: KernelBuilder
    p: Pool2d
    isa: Isa
    source: Buffer
    epilogue: EpilogueWriter
    output: Buffer

    def write(self, tasks: int) -> None:
        b, p = self.b, self.p
        loop = b.parallel if tasks > 1 else b.serial
        with loop(p.batch * p.out_h) as index:
            batch, row = b.let(index // p.out_h), b.let(index % p.out_h)
            rows = p.rows.taps(b, row)
            with b.serial(p.out_w) as column:
                columns = p.columns.taps(b, column)
                corner = (row * p.stride_h - p.pad_top, column * p.stride_w - p.pad_left)
                pixel = b.let((batch * p.out_h + row) * p.out_w + column)
                for run in split_columns(p.channels, self.isa.lanes(), PANEL_VECTORS):
                    with b.serial(run.count) as panel:
                        channel = b.let(run.start + panel * run.packed_columns)
                        taps = rows[1] * columns[1]
                        tile = self._start(run, taps)
                        self._window(tile, run, batch, corner, rows, columns, channel)
                        self._finish(tile, taps)
                        self.epilogue.write_tile(
                            tile, self.output, Pixels(pixel, 1, 1), batch, channel, run.vectors
                        )

    def _window(
        self,
        tile: RegisterTile,
        run: PanelRun,
        batch: Expr,
        corner: tuple[Expr, Expr],
        rows: tuple[Expr, Expr],
        columns: tuple[Expr, Expr],
        channel: Expr,
    ) -> None:
        b, p = self.b, self.p
        with b.serial(rows[1], carry=tile) as i:
            image_row = corner[0] + (rows[0] + i) * p.dilation_h
            line = b.let((batch * p.in_h + image_row) * p.in_w + corner[1])
            with b.serial(columns[1], carry=tile) as j:
                pixel = b.let(line + (columns[0] + j) * p.dilation_w)
                self._take(tile, run, pixel, channel)

    def _start(self, run: PanelRun, taps: Expr) -> RegisterTile:
        """Begin a window of which ``taps`` are on the image."""
        p, tile = self.p, self.b.registers(1, run.widths)
        first = constant(LOWEST if p.kind == "max" else 0.0)
        if p.kind == "max" and p.border is not None:
            leaves = tirx.LT(taps, p.kernel_h * p.kernel_w)
            first = self.b.let(tirx.Select(leaves, constant(max(p.border, LOWEST)), first))
        tile.fill([broadcast(first, lanes) for lanes in run.widths])
        return tile

    def _take(self, tile: RegisterTile, run: PanelRun, pixel: Expr, channel: Expr) -> None:
        for index, (offset, lanes) in enumerate(run.vectors):
            position = pixel * self.p.channels + channel + offset
            value = self.b.load(self.source, position, lanes)
            tile.put(0, index, self._combine(tile.get(0, index), value))

    def _combine(self, left: Expr, right: Expr) -> Expr:
        return maximum(left, right) if self.p.kind == "max" else left + right

    def _finish(self, tile: RegisterTile, taps: Expr) -> None:
        p = self.p
        if p.kind == "max":
            return
        count: Expr = taps if p.border is None else p.kernel_h * p.kernel_w
        if isinstance(count, int):
            divisor = constant(float(count))
        else:
            divisor = self.b.let(tirx.Cast("float32", maximum(count, 1)))
        for index, lanes in enumerate(tile.widths):
            tile.put(0, index, tile.get(0, index) / broadcast(divisor, lanes))
