"""How the inputs of one output lie in memory, and the loop that sums over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, RegisterTile
from assay.compiler.kernels.int8.dot import Dot
from assay.compiler.kernels.panels import PanelRun

LINE_BYTES = 64  # of a cache line


@dataclass(frozen=True)
class Depth:
    """``lines`` x ``taps`` segments of ``length`` inputs each, side by side; steps in elements.

    A segment is gone through in steps of a few inputs. Where they do not divide the length the
    last step starts early enough to end with the segment, and weights of inputs that it sees again
    count as zero: nothing is read past the end. Segments shorter than a step do read on, so they
    have to come from memory that goes on.
    """

    lines: int
    line_step: int
    taps: int
    tap_step: int
    length: int

    @property
    def segments(self) -> int:
        """Segments of one output."""
        return self.lines * self.taps

    @property
    def total(self) -> int:
        """Inputs of one output."""
        return self.segments * self.length

    def steps(self, dot: Dot) -> int:
        """Steps of one output."""
        return self.segments * -(-self.length // dot.taps)

    def start(self, segment: Expr) -> Expr:
        """Return where a segment starts, from the first input on."""
        if self.segments == 1:
            return 0
        if self.taps == 1:
            return segment * self.line_step
        return segment // self.taps * self.line_step + segment % self.taps * self.tap_step

    def last_step(self, dot: Dot) -> int:
        """Return where the last step of a segment starts, if steps do not divide its length."""
        return max(self.length - dot.taps, 0)


@dataclass(frozen=True)
class Steps:
    """Some steps one after the other, from input ``first`` on; all but ``taps`` count as zero."""

    first: int
    count: int
    taps: range


def depth_steps(depth: int, taps: int) -> list[Steps]:
    """Return the steps over a depth; the last ends with it if they do not divide it."""
    whole, rest = divmod(depth, taps)
    steps = [Steps(0, whole, range(taps))]
    if rest:
        begin = max(depth - taps, 0)
        steps.append(Steps(begin, 1, range(whole * taps - begin, depth - begin)))
    return steps


def pack_depth(
    depth: Depth, dot: Dot, weights: NDArray[np.int8], zero_point: int
) -> NDArray[np.int8]:
    """Arrange weights [segments, length, columns] as [steps, columns, taps], in order of use."""
    segments, length, columns = weights.shape
    whole = length // dot.taps * dot.taps
    main = weights[:, :whole].reshape(-1, dot.taps, columns)
    if whole == length:
        return np.ascontiguousarray(main.transpose(0, 2, 1))
    nothing = zero_point if dot.wide_weights else 0
    last = np.full((segments, dot.taps, columns), nothing, np.int8)
    first = whole - depth.last_step(dot)
    last[:, first : first + length - whole] = weights[:, whole:]
    return np.ascontiguousarray(np.concatenate([main, last]).transpose(0, 2, 1))


@dataclass(frozen=True)
class PackedPanel:
    """One panel of packed weights: its buffer, where it starts there, and the zero point.

    Weights that are ``ahead`` bytes later are asked for while these are read.
    """

    run: PanelRun
    weights: Buffer
    start: Expr
    zero_point: int
    ahead: Expr | None = None


def add_products(
    b: KernelBuilder,
    dot: Dot,
    depth: Depth,
    tile: RegisterTile,
    panel: PackedPanel,
    source: Buffer,
    rows: Sequence[Expr],
) -> None:
    """Add all products to a tile; ``rows`` are the offsets of each tile row's first input."""
    width = panel.run.packed_columns * dot.taps
    starts = [dot.taps * start for start in panel.run.packed_starts()]
    places = list(zip(starts, panel.run.widths, strict=True))

    def step(index: Expr, position: Expr) -> None:
        packed = panel.start + index * width
        if panel.ahead is not None:
            for line in range(0, width, LINE_BYTES):
                b.prefetch(panel.weights, packed + (panel.ahead + line), second=True)
        right = [
            dot.load_weights(b, panel.weights, packed + start, lanes, panel.zero_point)
            for start, lanes in places
        ]
        for row, start in enumerate(rows):
            left: dict[int, Expr] = {}
            for column, (_, lanes) in enumerate(places):
                if lanes not in left:
                    left[lanes] = dot.load_inputs(b, source, start + position, lanes)
                total = dot.add(tile.get(row, column), left[lanes], right[column], lanes)
                tile.put(row, column, total)

    for_each_step(b, dot, depth, tile, step)


def for_each_step(
    b: KernelBuilder,
    dot: Dot,
    depth: Depth,
    tile: RegisterTile,
    step: Callable[[Expr, Expr], None],
) -> None:
    """Call ``step(index, position)`` for all steps, those that end segments early last.

    One loop over segments and steps together: of nested loops around a full tile LLVM's register
    allocator may make a mess, and it moves too many loads ahead in steps that are written out.
    """
    whole = depth.length // dot.taps

    def full(index: Expr) -> None:
        if depth.segments == 1:
            step(index, index * dot.taps)
            return
        segment = b.let(index // whole)
        step(index, b.let(depth.start(segment) + index % whole * dot.taps))

    def last(segment: Expr) -> None:
        position = depth.start(segment) + depth.last_step(dot)
        step(depth.segments * whole + segment, b.let(position))

    if whole:
        with b.serial(depth.segments * whole, carry=tile) as index:
            full(index)
    if depth.length % dot.taps:
        with b.serial(depth.segments, carry=tile) as segment:
            last(segment)
