"""Concatenation, slices, transposes, padding and any chain of them: elements find new places.

The output is cut into boxes. Each is a nest of loops with a constant step in the output and in the
input that it comes from, so that one kernel serves a chain of such operators: the shuffle of
channels behind a concatenation, depth to space, strided slices side by side.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, product
from math import prod
from typing import Any

from assay.compiler.kernels.builder import (
    FIRST_BYTE,
    Buffer,
    Expr,
    KernelBuilder,
    constant,
)
from assay.compiler.kernels.splits import column_vectors
from assay.compiler.kernels.turned import Turn, write_turn
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa

BITS = {"float32": 32, "int32": 32, "uint8": 8, "int8": 8}
"""Types of elements that are moved, and their width."""

_UNROLLED = 8  # vectors, or single elements, of the innermost loop that are written out


@dataclass(frozen=True)
class Loop:
    """``size`` turns, each ``target`` elements further in the output, ``source`` in the input."""

    size: int
    target: int
    source: int


@dataclass(frozen=True)
class Box:
    """Elements of input number ``input``, or the fill value if that is None.

    ``target`` and ``source`` say where the first one is in the output and in the input.
    """

    input: int | None
    target: int
    source: int
    loops: tuple[Loop, ...]


@dataclass(frozen=True)
class Piece:
    """Where an input goes: rows of ``length`` elements from ``first`` on, ``step`` apart."""

    first: int
    length: int
    step: int


@dataclass(frozen=True)
class Move:
    """An output made of boxes, which cover it without overlap, or what others do not write of it.

    Kernel parameters, in order: inputs, output.
    """

    dtype: str
    inputs: tuple[tuple[int, ...], ...]
    output_shape: tuple[int, ...]
    boxes: tuple[Box, ...]
    fill: float = 0.0

    @property
    def moved(self) -> int:
        """Elements that are written: all, if boxes cover the output."""
        return sum(prod(loop.size for loop in box.loops) for box in self.boxes)

    def piece(self, index: int) -> Piece | None:
        """Return where an input goes, if all of it goes there as it is, row by row."""
        boxes = [box for box in self.boxes if box.input == index]
        if len(boxes) != 1 or boxes[0].source != 0:
            return None
        match [(loop.size, loop.target, loop.source) for loop in boxes[0].loops]:
            case []:
                rows, length, step = 1, 1, 1
            case [(length, 1, 1)]:
                rows, step = 1, length
            case [(rows, step, 1)]:
                length = 1
            case [(rows, step, length), (size, 1, 1)] if size == length:
                pass
            case _:
                return None
        complete = rows * length == prod(self.inputs[index])
        return Piece(boxes[0].target, length, step) if complete else None

    def without(self, placed: Collection[int]) -> Move | None:
        """Return what is left to move or fill if others write these inputs; None if nothing is."""
        kept = [index for index in range(len(self.inputs)) if index not in placed]
        number: dict[int | None, int | None] = {None: None}
        number.update((old, new) for new, old in enumerate(kept))
        boxes = [replace(x, input=number[x.input]) for x in self.boxes if x.input in number]
        inputs = tuple(self.inputs[index] for index in kept)
        return replace(self, inputs=inputs, boxes=tuple(boxes)) if boxes else None

    @property
    def first_byte(self) -> int | None:
        """Where the output begins in the only input, if it is a stretch of that; None if not."""
        if len(self.inputs) != 1 or len(self.boxes) != 1 or self.boxes[0].input is None:
            return None
        (box,) = self.boxes
        stretch = all((loop.target, loop.source) == (1, 1) for loop in box.loops)
        complete = box.target == 0 and self.moved == prod(self.output_shape)
        return box.source * BITS[self.dtype] // 8 if stretch and complete else None

    @property
    def transposes(self) -> bool:
        """Whether it is all of one input in another order."""
        whole = [prod(shape) for shape in self.inputs] == [prod(self.output_shape)]
        return whole and len(self.boxes) == 1


def applicable(problem: Move) -> bool:
    """Tell whether elements are of a type that kernels hold in vectors."""
    return problem.dtype in BITS


def joined(loops: Sequence[Loop], *, filled: bool = False) -> tuple[Loop, ...]:
    """Return the loops in the order of the output, as few as possible; ``filled`` from nothing."""
    merged: list[Loop] = []
    for loop in sorted(loops, key=lambda each: -each.target):
        if loop.size == 1:
            continue
        last = merged[-1] if merged else None
        runs_on = last is not None and last.target == loop.target * loop.size
        if last and runs_on and (filled or last.source == loop.source * loop.size):
            merged[-1] = replace(loop, size=last.size * loop.size)
        else:
            merged.append(loop)
    return tuple(merged)


def transpose(dtype: str, shape: tuple[int, ...], order: Sequence[int]) -> Move:
    """Return the move of a tensor's elements to axes in another order."""
    result = tuple(shape[axis] for axis in order)
    loops = [
        Loop(shape[axis], prod(result[place + 1 :]), prod(shape[axis + 1 :]))
        for place, axis in enumerate(order)
    ]
    return Move(dtype, (shape,), result, (Box(0, 0, 0, joined(loops)),))


def generate(problem: Move, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`Move` says."""
    b, p = KernelBuilder(), problem
    inputs = [b.parameter(f"input{i}", shape, p.dtype) for i, shape in enumerate(p.inputs)]
    output = b.parameter("output", p.output_shape, p.dtype)
    tasks = task_count(isa, parallel, p.moved, 2 * p.moved * BITS[p.dtype] // 8)
    nests = []
    for box in p.boxes:
        loops = joined(box.loops, filled=box.input is None)
        if box.input is None:
            nests.append(_Nest(loops, None, None, box.target, box.source))
        else:
            nests.append(_Nest(*_turned(loops), inputs[box.input], box.target, box.source))
    _MoveWriter(b, p, isa.lanes(BITS[p.dtype]), output).write(nests, tasks)
    function, first = b.function(name), p.first_byte
    return function if first is None else function.with_attr(FIRST_BYTE, first)


@dataclass(frozen=True)
class _Nest:
    """Loops that are still to be written, and where in the tensors they start.

    ``turn`` are the innermost loops, in place of those, if they transpose.
    """

    loops: tuple[Loop, ...]
    turn: Turn | None
    input: Buffer | None
    target: Expr
    source: Expr

    @property
    def outer(self) -> tuple[int, int] | None:
        """Size and step of the outermost loop, if others are inside, each by itself."""
        inner = 0 if self.turn else 1
        return (self.loops[0].size, self.loops[0].target) if len(self.loops) > inner else None


def _turned(loops: tuple[Loop, ...]) -> tuple[tuple[Loop, ...], Turn | None]:
    """Return the loops around those that transpose, and these; all and None if none do."""
    for turn, inner in _turns(loops):
        if turn.is_solved:
            return tuple(loop for loop in loops if loop not in inner), turn
    return loops, None


def _turns(loops: tuple[Loop, ...]) -> Iterator[tuple[Turn, tuple[Loop, ...]]]:
    """Yield transposes of the last loop with one along the input, and the loops they are made of.

    Either may be two loops, which together run along the output or the input.
    """
    *others, last = loops or (Loop(1, 0, 0),)
    if last.target != 1:
        return
    along = [loop for loop in others if loop.source == 1]
    for across in along:
        yield Turn(last.size, last.source, across.size, across.target), (across, last)
    for inner, outer in product(along, others):
        if outer.source == inner.size and outer is not inner:
            sizes = (last.size, last.source, inner.size * outer.size, outer.target)
            group = (inner.size, inner.target)
            yield Turn(*sizes, target_group=group), (inner, outer, last)
    for across, outer in product(along, others):
        if outer.target == last.size and outer is not across:
            sizes = (last.size * outer.size, outer.source, across.size, across.target)
            group = (last.size, last.source)
            yield Turn(*sizes, source_group=group), (across, outer, last)


@dataclass(frozen=True)
class _MoveWriter:
    b: KernelBuilder
    p: Move
    lanes: int
    output: Buffer

    def write(self, nests: Sequence[_Nest], tasks: int) -> None:
        """Emit the loops, those that go along together as one; long outer ones are shared out.

        So neighbours in the output are written one after the other, whatever input they are from.
        """
        b = self.b
        for outer, group in groupby(nests, key=lambda nest: nest.outer):
            if outer is None:
                for nest in group:
                    self._innermost(nest, tasks)
                continue
            share = 1 < tasks <= outer[0]
            with (b.parallel if share else b.serial)(outer[0]) as index:
                inner = [self._inside(nest, index) for nest in group]
                self.write(inner, 1 if share else tasks)

    def _inside(self, nest: _Nest, index: Expr) -> _Nest:
        loop = nest.loops[0]
        target = self.b.let(nest.target + index * loop.target)
        source = self.b.let(nest.source + index * loop.source)
        return replace(nest, loops=nest.loops[1:], target=target, source=source)

    def _innermost(self, nest: _Nest, tasks: int) -> None:
        """Emit the last loop, in vectors if elements stay side by side, or the last two."""
        b = self.b
        if nest.turn is not None:
            bits = BITS[self.p.dtype]
            places = (nest.input, nest.source, self.output, nest.target)
            write_turn(b, nest.turn, *places, bits, self.lanes, tasks)
            return
        loop = nest.loops[0] if nest.loops else Loop(1, 1, 1)
        together = loop.target == 1 and (loop.source == 1 or nest.input is None)
        if together and loop.size <= _UNROLLED * self.lanes:
            for first, lanes in column_vectors(loop.size, self.lanes):
                self._copy(nest, first, first, lanes)
        elif together:
            with b.vectors(loop.size, self.lanes) as (first, lanes):
                self._copy(nest, first, first, lanes)
        else:
            unrolled = next(n for n in range(_UNROLLED, 0, -1) if loop.size % n == 0)
            with b.serial(loop.size // unrolled) as turn:
                for step in range(unrolled):
                    index = turn * unrolled + step
                    self._copy(nest, index * loop.target, index * loop.source, 1)

    def _copy(self, nest: _Nest, target: Expr, source: Expr, lanes: int) -> None:
        b = self.b
        if nest.input is None:
            value = constant(self.p.fill, lanes, self.p.dtype)
        else:
            value = b.load(nest.input, nest.source + source, lanes)
        b.store(self.output, nest.target + target, value, lanes)
