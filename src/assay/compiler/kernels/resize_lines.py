"""Resizing of float32 images in NCHW, or of a few channels in NHWC: vectors run along a row.

What each vector of an output row is made of is known when the code is generated, so that columns
are mixed by shuffles of the row that all input rows were mixed to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvm import tirx

from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, constant
from assay.compiler.kernels.epilogue_writer import EpilogueWriter
from assay.compiler.kernels.nchw.epilogue_writer import PlaneEpilogueWriter
from assay.compiler.kernels.nchw.gather import gather
from assay.compiler.kernels.resize import Resize, Taps, mixed
from assay.compiler.kernels.splits import column_vectors
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

_FEW_CHANNELS = 8  # in NHWC, of which vectors would be mostly empty
_LONGEST = 1024  # elements of a row: each vector of it has code of its own

Finish = Callable[[Expr, Expr, Expr, int], Expr]


def applicable(problem: Resize) -> bool:
    """Tell whether the kernel fits: rows of few elements, without a pattern in the epilogue."""
    p = problem
    if p.columns.outputs * _side_by_side(p) > _LONGEST or p.epilogue.inside is not None:
        return False
    if p.layout == "NCHW":
        return True
    spread = any(step.operand in ("channel", "batch_channel") for step in p.epilogue.steps)
    return p.channels <= _FEW_CHANNELS and not spread


def generate(problem: Resize, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`Resize` says."""
    b, p = KernelBuilder(), problem
    source = b.parameter("input", p.input_shape)
    rows = Taps.declare(b, p.rows, "row")
    Taps.declare(b, p.columns, "column")
    finish = _finish(b, p)
    output = b.parameter("output", p.output_shape)
    writer = _Writer(b, isa.lanes(), p, source, rows, finish, output)
    writer.write(task_count(isa, parallel, p.flops, p.bytes_moved))
    return b.function(name)


def _side_by_side(p: Resize) -> int:
    """Return how many channels' elements of a pixel are neighbours."""
    return p.channels if p.layout == "NHWC" else 1


def _finish(b: KernelBuilder, p: Resize) -> Finish:
    """Return what applies the epilogue to a vector at (plane, row, first element of the row)."""
    width = p.columns.outputs * _side_by_side(p)
    if p.layout == "NCHW":
        planes = PlaneEpilogueWriter(b, p.epilogue, p.output_shape, sums_start=False)

        def in_plane(value: Expr, line: Expr, first: Expr, lanes: int) -> Expr:
            plane, row = b.let(line // p.rows.outputs), line % p.rows.outputs
            batch, channel = plane // p.channels, plane % p.channels
            return planes.finish(value, batch, channel, row * width + first, lanes)

        return in_plane
    pixels = EpilogueWriter(b, p.epilogue, p.output_shape, sums_start=False)

    def in_row(value: Expr, line: Expr, first: Expr, lanes: int) -> Expr:
        return pixels.finish(value, line * p.columns.outputs, 0, first, lanes)

    return in_row


@dataclass(frozen=True)
class _Writer:
    b: KernelBuilder
    lanes: int
    p: Resize
    source: Buffer
    rows: Taps
    finish: Finish
    output: Buffer

    def write(self, tasks: int) -> None:
        b, p = self.b, self.p
        beside = _side_by_side(p)
        planes = p.batch * p.channels // beside
        width, wide = p.columns.inputs * beside, p.columns.outputs * beside
        with (b.parallel if tasks > 1 else b.serial)(planes * p.rows.outputs) as line:
            plane, row = b.let(line // p.rows.outputs), b.let(line % p.rows.outputs)
            lines = [b.let((plane * p.rows.inputs + at) * width) for at in self.rows.at(row)]
            space, start = self.source, lines[0]
            if p.rows.taps > 1:
                space, start = self._mixed_rows(lines, self.rows.shares(row), width), 0
            target = b.let(line * wide)
            if p.epilogue.is_long:  # its steps appear once
                made = b.workspace("made", wide)
                self._columns(space, start, made, 0, lambda value, _first, _lanes: value)
                with b.vectors(wide, self.lanes) as (first, lanes):
                    value = b.let(b.load(made, first, lanes))
                    value = self.finish(value, line, first, lanes)
                    b.store(self.output, target + first, value, lanes)
            else:

                def finish(value: Expr, first: Expr, lanes: int) -> Expr:
                    return self.finish(value, line, first, lanes)

                self._columns(space, start, self.output, target, finish)

    def _mixed_rows(self, lines: list[Expr], shares: list[Expr], width: int) -> Buffer:
        b = self.b
        space = b.workspace("row", width)
        with b.vectors(width, self.lanes) as (first, lanes):
            values = [b.load(self.source, at + first, lanes) for at in lines]
            b.store(space, first, mixed(values, shares, lanes), lanes)
        return space

    def _columns(
        self,
        space: Buffer,
        start: Expr,
        target: Buffer,
        place: Expr,
        finish: Callable[[Expr, Expr, int], Expr],
    ) -> None:
        """Make an output row of the mixed one that begins at ``start``."""
        b, columns, beside = self.b, self.p.columns, _side_by_side(self.p)
        for first, lanes in column_vectors(columns.outputs * beside, self.lanes):
            made = [divmod(first + lane, beside) for lane in range(lanes)]
            total: Expr = None
            for tap in range(columns.taps):
                sources = [columns.sources[x][tap] * beside + channel for x, channel in made]
                value = gather(b, space, start, sources)
                if columns.taps > 1:
                    value = value * _constants([columns.weights[x][tap] for x, _ in made])
                total = value if total is None else total + value
            b.store(target, place + first, finish(b.let(total), first, lanes), lanes)


def _constants(values: list[float]) -> Expr:
    """Return a vector of numbers."""
    if len(values) == 1 or len(set(values)) == 1:
        return constant(values[0], len(values))
    lanes = [tirx.IntImm("int32", lane) for lane in range(len(values))]
    return tirx.Shuffle([constant(value) for value in values], lanes)
