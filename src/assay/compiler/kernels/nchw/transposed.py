"""Transposed convolution in NCHW, of any stride, window, cropping and number of groups.

As in ``kernels/transposed.py``, outputs of one phase of rows and one of columns, (o + pad) modulo
stride, are a convolution of stride 1 with every stride-th tap. Phases that see equally many taps
see them at the same inputs, so that they are channels of one convolution: at most four make up the
whole. They read one unrolled band (``unrolled.py``) and write planes of sums, one for each phase
and output channel. Rows of the output are put together from the planes of their phases, which takes
shuffles along a row, and go through the epilogue.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tvm import tirx

from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, minimum, within
from assay.compiler.kernels.nchw.convolution import Taps, add_taps
from assay.compiler.kernels.nchw.epilogue_writer import PlaneEpilogueWriter
from assay.compiler.kernels.nchw.unrolled import UnrolledBand
from assay.compiler.kernels.panels import PanelRun, pack_tiles, split_columns
from assay.compiler.kernels.splits import EvenSplit, floor_power_of_two, split_evenly
from assay.compiler.kernels.tiles import RegisterTile, choose_tile
from assay.compiler.kernels.transposed import TransposedConv2d
from assay.compiler.kernels.windows import Window
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def applicable(problem: TransposedConv2d) -> bool:
    """Tell whether activations are NCHW, and no more is cropped in front than a window."""
    p = problem
    return p.layout == "NCHW" and p.pad_top < p.kernel_h and p.pad_left < p.kernel_w


def pack(problem: TransposedConv2d, isa: Isa, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pack weights by group, kind of phase and tile, each [input channel][tap][channel], flat."""
    import numpy as np

    p, plan = problem, _make_plan(problem, isa, 1)
    by_group = weights.reshape(*weights.shape[:3], p.groups, -1)
    pieces = [np.zeros(0, np.float32)]
    for group in range(p.groups):
        for kind in plan.kinds:
            # [phase][input channel][tap][output channel]
            phases = [
                by_group[np.ix_(rows, columns)][:, :, :, group].transpose(2, 0, 1, 3)
                for rows in kind.rows.taps(p.stride_h)
                for columns in kind.columns.taps(p.stride_w)
            ]
            matrix = np.concatenate(phases, axis=3).reshape(-1, kind.tiles.total)
            pieces.append(pack_tiles(matrix, kind.tiles))
    return np.ascontiguousarray(np.concatenate(pieces), dtype=np.float32)


def generate(problem: TransposedConv2d, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`TransposedConv2d` says."""
    b = KernelBuilder()
    p, plan = problem, _make_plan(problem, isa, parallel)
    source = b.parameter("input", p.input_shape)
    weights = b.parameter("weights", (p.groups * plan.weights,))
    epilogue = PlaneEpilogueWriter(b, p.epilogue, p.output_shape)
    output = b.parameter("output", p.epilogue.stored_shape(p.output_shape))
    _Writer(b, isa, plan, source, weights, epilogue, output).write()
    return b.function(name)


@dataclass(frozen=True)
class _Axis:
    """``count`` phases from ``first`` on that see the last ``seen`` of ``window`` inputs."""

    first: int
    count: int
    seen: int
    window: int

    def taps(self, stride: int) -> list[list[int]]:
        """Return each phase's taps of the layer's window, in the order of the input."""
        phases = range(self.first, self.first + self.count)
        return [[phase + stride * j for j in reversed(range(self.seen))] for phase in phases]


def _axes(kernel: int, stride: int) -> tuple[_Axis, ...]:
    """Return the kinds of phases along an axis: some see one tap more than the others."""
    window = -(-kernel // stride)
    more = kernel % stride
    kinds = (_Axis(0, more, window, window), _Axis(more, stride - more, kernel // stride, window))
    return tuple(kind for kind in kinds if kind.count)


@dataclass(frozen=True)
class _Kind:
    """Phases that are one convolution: its register tiles, and where its weights and sums start.

    Sums are planes [phase of the rows][phase of the columns][output channel].
    """

    rows: _Axis
    columns: _Axis
    tiles: EvenSplit
    runs: tuple[PanelRun, ...]
    weights: int
    planes: int


@dataclass(frozen=True)
class _Plan:
    """``band`` of the convolutions' outputs, one for each place of ``stride`` outputs."""

    p: TransposedConv2d
    band: UnrolledBand
    kinds: tuple[_Kind, ...]
    parallel: bool

    @property
    def inputs(self) -> int:
        """Input channels of a group."""
        return self.p.in_c // self.p.groups

    @property
    def channels(self) -> int:
        """Output channels of a group."""
        return self.p.out_c // self.p.groups

    @property
    def plane(self) -> int:
        """Sums of a phase and channel."""
        return self.band.lines * self.band.columns.out_size

    @cached_property
    def weights(self) -> int:
        """Packed weights of a group."""
        return self.inputs * self.channels * self.p.kernel_h * self.p.kernel_w


def _window(in_size: int, out_size: int, kernel: int, stride: int, pad: int) -> Window:
    """Return what places along an axis see: place q, less those cropped, makes q * stride - pad."""
    first, last = pad // stride, (out_size - 1 + pad) // stride
    taps = -(-kernel // stride)
    return Window(in_size, last - first + 1, taps, 1, taps - 1 - first)


def _make_plan(p: TransposedConv2d, isa: Isa, parallel: int) -> _Plan:
    rows = _window(p.in_h, p.out_h, p.kernel_h, p.stride_h, p.pad_top)
    columns = _window(p.in_w, p.out_w, p.kernel_w, p.stride_w, p.pad_left)
    inputs, channels = p.in_c // p.groups, p.out_c // p.groups
    planes = p.stride_h * p.stride_w * channels
    weights = p.kernel_h * p.kernel_w * inputs * p.out_c
    moved = 4 * (p.batch * (p.in_h * p.in_w * p.in_c + p.out_h * p.out_w * p.out_c) + weights)
    tasks = task_count(isa, parallel, p.flops, moved)
    # Sums take as much as unrolled inputs of so many channels would.
    elements = isa.l2_bytes // 8 // (inputs + -(-planes // columns.kernel))
    band = UnrolledBand.within(rows, columns, elements, -(-rows.out_size // tasks))
    kinds = []
    packed = plane = 0
    for down in _axes(p.kernel_h, p.stride_h):
        for across in _axes(p.kernel_w, p.stride_w):
            count, depth = down.count * across.count * channels, inputs * down.seen * across.seen
            # Packed weights depend on the tile, which may not depend on the number of threads.
            tile = RegisterTile(count, 1)
            if depth:
                tile = choose_tile(isa, count, rows.out_size * columns.out_size, depth)
            runs = split_columns(band.lines * columns.out_size, isa.lanes(), tile.vectors)
            tiles = split_evenly(count, tile.rows)
            kinds.append(_Kind(down, across, tiles, runs, packed, plane))
            packed, plane = packed + depth * count, plane + count
    return _Plan(p, band, tuple(kinds), tasks > 1)


@dataclass(frozen=True)
class _Writer:
    b: KernelBuilder
    isa: Isa
    plan: _Plan
    source: Buffer
    weights: Buffer
    epilogue: PlaneEpilogueWriter
    output: Buffer

    def write(self) -> None:
        """Deal out bands of each group."""
        b, plan, p, band = self.b, self.plan, self.plan.p, self.plan.band
        height, width = band.rows.out_size, band.columns.out_size
        bands = -(-height // band.lines)
        loop = b.parallel if plan.parallel else b.serial
        with loop(p.batch * p.groups * bands) as index:
            unit = b.let(index // bands)
            line = b.let(minimum(index % bands * band.lines, height - band.lines))
            space = b.workspace("unrolled", plan.inputs * band.size)
            sums = b.workspace("sums", p.stride_h * p.stride_w * plan.channels * plan.plane)
            row = b.workspace("row", p.stride_w * width)
            with b.serial(plan.inputs) as channel:
                image = b.let((unit * plan.inputs + channel) * (p.in_h * p.in_w))
                start = b.let(channel * band.size)
                band.fill(b, self.source, image, space, start, line, self.isa.lanes())
            batch, group = b.let(unit // p.groups), b.let(unit % p.groups)
            for kind in plan.kinds:
                self._convolve(kind, group, space, sums)
            with b.serial(plan.channels) as channel, b.serial(band.lines) as index:
                for down in _axes(p.kernel_h, p.stride_h):
                    with b.serial(down.count) as phase:
                        place = (line + index + p.pad_top // p.stride_h) * p.stride_h
                        y = b.let(place + down.first + phase - p.pad_top)
                        with b.when(within(y, 0, p.out_h)):
                            self._interleave(down, phase, channel, index, sums, row)
                            target = b.let(group * plan.channels + channel)
                            self._finish(batch, target, y, row)

    def _convolve(self, kind: _Kind, group: Expr, space: Buffer, sums: Buffer) -> None:
        """Write the planes of one kind of phases, of which some may see no tap: zeros."""
        b, plan, band = self.b, self.plan, self.plan.band
        skipped = kind.rows.window - kind.rows.seen, kind.columns.window - kind.columns.seen
        across = kind.columns.seen
        taps = Taps(
            plan.inputs,
            kind.rows.seen * across,
            band.size,
            lambda tap: band.tap(skipped[0] + tap // across, skipped[1] + tap % across),
        )
        for run in kind.runs:
            with b.serial(run.count) as panel:
                column = b.let(run.start + panel * run.packed_columns)
                for start, count, size in kind.tiles.parts():
                    with b.serial(count) as index:
                        first = b.let(start + index * size)
                        depth = plan.inputs * taps.count
                        packed = b.let(group * plan.weights + kind.weights + first * depth)
                        tile = b.registers(size, run.widths)
                        tile.clear()
                        if taps.count:
                            weights, pixels = (self.weights, packed), (space, column)
                            add_taps(b, tile, run, taps, weights, pixels)
                        target = b.let((kind.planes + first) * plan.plane + column)
                        for i in range(size):
                            for q, (offset, lanes) in enumerate(run.vectors):
                                place = target + i * plan.plane + offset
                                b.store(sums, place, tile.get(i, q), lanes)

    def _interleave(
        self, down: _Axis, phase: Expr, channel: Expr, index: Expr, sums: Buffer, row: Buffer
    ) -> None:
        """Write ``row``: all places of a line, each with the outputs of its phases."""
        b, plan, p = self.b, self.plan, self.plan.p
        width = plan.band.columns.out_size
        starts = []
        for kind in plan.kinds:
            if kind.rows == down:
                for at in range(kind.columns.count):
                    own = phase * kind.columns.count + at
                    plane = kind.planes + own * plan.channels + channel
                    starts.append(b.let(plane * plan.plane + index * width))
        with b.vectors(width, floor_power_of_two(max(1, self.isa.lanes() // p.stride_w))) as (x, n):
            parts = [b.let(b.load(sums, start + x, n)) for start in starts]
            order = [
                tirx.IntImm("int32", i % len(parts) * n + i // len(parts))
                for i in range(n * len(parts))
            ]
            value = tirx.Shuffle(parts, order) if len(parts) > 1 else parts[0]
            b.store(row, x * p.stride_w, value, n * len(parts))

    def _finish(self, batch: Expr, channel: Expr, y: Expr, row: Buffer) -> None:
        """Store a row of the output."""
        b, p = self.b, self.plan.p
        with b.vectors(p.out_w, self.isa.lanes()) as (x, lanes):
            tile = b.registers(1, (lanes,))
            value = b.load(row, x + p.pad_left % p.stride_w, lanes)
            tile.put(0, 0, value + self.epilogue.start(channel, lanes))
            pixel = b.let(y * p.out_w + x)
            self.epilogue.write_tile(tile, self.output, batch, channel, pixel, [(0, lanes)])
