"""Blocks of pixels that :mod:`nchw.pointwise` multiplies, as they are in the image or copied.

Where outputs do not see the pixels in their order, the lines of a band are gathered first, without
the pixels between. Panels are copied from there, if the plan says so, as [depth][pixel].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.compiler.kernels.builder import (
    Buffer,
    Expr,
    KernelBuilder,
    broadcast,
    minimum,
    within,
)
from assay.compiler.kernels.epilogue_writer import LINE_FLOATS
from assay.compiler.kernels.nchw.pixel_panels import PixelRun
from assay.compiler.kernels.splits import column_vectors

if TYPE_CHECKING:
    from assay.compiler.kernels.nchw.pointwise import Plan


@dataclass(frozen=True)
class Pixels:
    """A band of a group of an image, whose first pixel is ``pixel`` of the output.

    What that sees of input channel ``c`` is at ``start + c * plane`` of ``buffer``.
    """

    batch: Expr
    group: Expr
    pixel: Expr
    buffer: Buffer
    start: Expr
    plane: int


@dataclass(frozen=True)
class Block:
    """``count`` panels of a band from ``first`` on; ``copies`` are the panels, if copied."""

    band: Pixels
    first: Expr
    count: Expr
    copies: Buffer | None = None

    @property
    def pixels(self) -> Buffer:
        """The buffer that products read."""
        return self.band.buffer if self.copies is None else self.copies


@dataclass(frozen=True)
class Panel:
    """A panel's shape, its number in the block, and its first pixel of either kind in the band."""

    run: PixelRun
    index: Expr
    pixel: Expr
    single: Expr


@dataclass(frozen=True)
class BlockReader:
    """Finds the pixels of blocks in ``source``, or brings them where they are easy to read."""

    b: KernelBuilder
    lanes: int
    plan: Plan
    source: Buffer
    gate: Buffer | None

    def band(self, index: Expr) -> Pixels:
        """Return a band by its number; its lines are gathered if need be."""
        b, plan, p = self.b, self.plan, self.plan.p
        image, plane = b.let(index // plan.bands), p.in_h * p.in_w
        batch, group = b.let(image // p.groups), b.let(image % p.groups)
        start = b.let(image * (plan.inputs * plane))
        if plan.gathered is None:
            return Pixels(batch, group, 0, self.source, start, plane)
        band = plan.gathered
        line = b.let(minimum(index % plan.bands * band.lines, p.out_h - band.lines))
        space = b.workspace("gathered", plan.inputs * band.size)
        with b.serial(plan.inputs) as channel:
            place, target = b.let(start + channel * plane), b.let(channel * band.size)
            band.fill(b, self.source, place, space, target, line, self.lanes)
        return Pixels(batch, group, b.let(line * p.out_w), space, 0, band.size)

    def block(self, band: Pixels, number: Expr) -> Block:
        """Return a block of a band by its number."""
        b, plan = self.b, self.plan
        first, count = b.let(number * plan.block), plan.block
        if plan.panels % plan.block:
            count = b.let(minimum(count, plan.panels - first))
        block = Block(band, first, count)
        return self._copied(block) if plan.copies else block

    def panels(self, block: Block) -> Iterator[Panel]:
        """Loop over the panels of a block."""
        b, runs = self.b, self.plan.runs
        with b.serial(block.count) as index:
            panel = b.let(block.first + index)
            for run in runs:
                inside = len(runs) == 1 or within(panel, run.first, run.first + run.count)
                with b.when(inside):
                    number = b.let(panel - run.first)
                    pixel = b.let(run.start + number * run.pixels)
                    single = b.let(run.first_single + number * run.singles)
                    yield Panel(run, index, pixel, single)

    def places(self, block: Block, panel: Panel, k: Expr) -> tuple[list[tuple[Expr, int]], Expr]:
        """Return where step ``k`` of depth has its vectors, with their lanes, and single pixels."""
        b, run = self.b, panel.run
        if block.copies is not None:
            start = b.let(panel.index * self._panel_size)
            first = b.let(start + k * run.pixels)
            vectors = [(first + sum(run.widths[:i]), lanes) for i, lanes in enumerate(run.widths)]
            return vectors, start + self.plan.depth * run.pixels + k * run.singles
        line = self._line(block.band, k)
        first = b.let(line + panel.pixel)
        return [(first + at, lanes) for at, lanes in run.vectors], line + panel.single

    def step(self, block: Block, run: PixelRun) -> tuple[int, int]:
        """Return the elements from a step's vectors to the next one's, and its single pixels'."""
        plane = block.band.plane
        return (plane, plane) if block.copies is None else (run.pixels, run.singles)

    def _line(self, band: Pixels, k: Expr) -> Expr:
        """Return where a band has what its first output sees in step ``k`` of depth."""
        p = self.plan.p
        if p.kernel_h == 1:
            return self.b.let(band.start + k * band.plane)
        tap = k % p.kernel_h * (p.dilation_h * p.in_w)
        return self.b.let(band.start + k // p.kernel_h * band.plane + tap)

    def _copied(self, block: Block) -> Block:
        """Copy a block's panels, each as [depth][pixel of the vectors], [depth][single pixel]."""
        b, plan, band = self.b, self.plan, block.band
        space = b.workspace("panels", plan.block * self._panel_size)
        copied = Block(band, block.first, block.count, space)
        for panel in self.panels(block):
            singles = column_vectors(panel.run.singles, self.lanes) if panel.run.singles else ()
            with b.serial(plan.depth) as k:
                factor = None
                if self.gate is not None:
                    channel = (band.batch * plan.p.groups + band.group) * plan.inputs
                    factor = b.let(b.load(self.gate, channel + k // plan.p.kernel_h))
                sources, source = self.places(block, panel, k)
                targets, target = self.places(copied, panel, k)
                pairs = zip(sources, targets, strict=True)
                copies = [(here, there, lanes) for (here, lanes), (there, _) in pairs]
                copies += [(source + at, target + at, lanes) for at, lanes in singles]
                for here, there, lanes in copies:
                    value = b.load(band.buffer, here, lanes)
                    if factor is not None:
                        value = value * broadcast(factor, lanes)
                    b.store(space, there, value, lanes)
        return copied

    @property
    def _panel_size(self) -> int:
        """Elements from one copied panel to the next: whole cache lines."""
        widest = max(run.pixels + run.singles for run in self.plan.runs)
        return -(-self.plan.depth * widest // LINE_FLOATS) * LINE_FLOATS
