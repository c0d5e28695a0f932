"""Two loops of which one runs along the input and the other along the output: transposition.

Squares that fill blocks of 128 bits are transposed in registers, a few of them side by side, by
interleaving the halves of the rows log2(side) times. If one of the loops is short, each vector is a
shuffle of those next to it. Either may be two loops in one, as where pixels become patches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tvm import tirx

from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, minimum
from assay.compiler.kernels.nchw.gather import gather
from assay.compiler.kernels.splits import floor_power_of_two

_BLOCK_BITS = 128  # within which every CPU interleaves
_FEW = 4  # sizes below it are too small for squares


@dataclass(frozen=True)
class Turn:
    """``along`` elements that are neighbours in the output, ``across`` that are in the input.

    The former are ``source_step`` apart in the input, the latter ``target_step`` in the output. Of
    either there may be groups instead, (size, step): their elements are that ``step`` apart, and
    the groups as far as elements are else.
    """

    along: int
    source_step: int
    across: int
    target_step: int
    source_group: tuple[int, int] = (1, 0)
    target_group: tuple[int, int] = (1, 0)

    @property
    def by_squares(self) -> bool:
        """Whether both loops are long enough for squares, in which no group is cut."""
        return min(self.along, self.across) >= _FEW and self._grouped in (1, 2, 4)

    @property
    def _grouped(self) -> int:
        """Elements of a group; more than one only along one of the loops."""
        return self.source_group[0] * self.target_group[0]

    @property
    def splits(self) -> bool:
        """Whether a few values lie side by side in the input."""
        plain = self._grouped == 1 and self.source_step == self.across
        return 1 < self.across < _FEW and plain

    @property
    def joins(self) -> bool:
        """Whether a few values lie side by side in the output."""
        plain = self._grouped == 1 and self.target_step == self.along
        return 1 < self.along < _FEW and plain

    @property
    def is_solved(self) -> bool:
        """Whether there is code for it."""
        return self.by_squares or self.splits or self.joins


def write_turn(
    b: KernelBuilder,
    turn: Turn,
    source: Buffer,
    first: Expr,
    output: Buffer,
    target: Expr,
    bits: int,
    lanes: int,
    share: int,
) -> None:
    """Move elements of ``bits``; ``lanes`` fill a register, ``share`` is for how many threads."""
    writer = _Writer(b, turn, source, first, output, target, bits, lanes)
    if turn.by_squares:
        writer.squares(share)
    elif turn.splits:
        writer.split(share)
    else:
        writer.join(share)


@dataclass(frozen=True)
class _Writer:
    b: KernelBuilder
    turn: Turn
    source: Buffer
    first: Expr
    output: Buffer
    target: Expr
    bits: int
    lanes: int

    def squares(self, share: int) -> None:
        """Transpose squares; the last ones along either loop overlap those before."""
        b, t = self.b, self.turn
        side = floor_power_of_two(min(t.along, t.across, _BLOCK_BITS // self.bits))
        groups = floor_power_of_two(min(max(self.lanes // side, 1), t.along // side))
        wide = side * groups
        across, along = -(-t.across // side), -(-t.along // wide)

        def square(i: Expr, j: Expr) -> None:
            row = b.let(minimum(i * side, t.across - side))
            column = b.let(minimum(j * wide, t.along - wide))
            self._square(row, column, side, groups)

        if 1 < share <= along and across < share:
            with b.parallel(along) as j, b.serial(across) as i:
                square(i, j)
        else:
            loop = b.parallel if 1 < share <= across else b.serial
            with loop(across) as i, b.serial(along) as j:
                square(i, j)

    def _square(self, row: Expr, column: Expr, side: int, groups: int) -> None:
        b, t = self.b, self.turn
        start = b.let(self.first + row + _place(column, t.source_step, t.source_group))
        rows = []
        for index in range(side):
            places = [
                start + _place(group * side + index, t.source_step, t.source_group)
                for group in range(groups)
            ]
            pieces = [b.let(b.load(self.source, place, side)) for place in places]
            rows.append(b.let(_shuffle(pieces, range(side * groups))) if groups > 1 else pieces[0])
        half = side // 2
        for _ in range(side.bit_length() - 1):
            pairs = [self._interleaved(rows[i], rows[i + half], side, groups) for i in range(half)]
            rows = [each for pair in pairs for each in pair]
        target = b.let(self.target + _place(row, t.target_step, t.target_group) + column)
        for index, value in enumerate(rows):
            place = target + _place(index, t.target_step, t.target_group)
            b.store(self.output, place, value, side * groups)

    def _interleaved(self, left: Expr, right: Expr, side: int, groups: int) -> list[Expr]:
        """Interleave the lower halves of all blocks of ``side`` lanes, and the upper ones."""
        lanes, half = side * groups, side // 2
        made = []
        for begin in (0, half):
            order = [
                lane + other
                for block in range(begin, lanes, side)
                for lane in range(block, block + half)
                for other in (0, lanes)
            ]
            made.append(self.b.let(_shuffle([left, right], order)))
        return made

    def split(self, share: int) -> None:
        """Bring each of a few values that are neighbours in the input to a vector of its own."""
        b, t = self.b, self.turn
        for column, lanes in self._columns(t.along, share):
            start = b.let(self.first + column * t.across)
            for index in range(t.across):
                places: list[int | None] = [lane * t.across + index for lane in range(lanes)]
                value = gather(b, self.source, start, places, 0, str(self.source.dtype))
                b.store(self.output, self.target + index * t.target_step + column, value, lanes)

    def join(self, share: int) -> None:
        """Interleave a few vectors."""
        b, t = self.b, self.turn
        for column, lanes in self._columns(t.across, share):
            start = b.let(self.first + column)
            values = [
                b.let(b.load(self.source, start + index * t.source_step, lanes))
                for index in range(t.along)
            ]
            target = b.let(self.target + column * t.along)
            for index in range(t.along):
                made = [divmod(index * lanes + lane, t.along) for lane in range(lanes)]
                order = [which * lanes + lane for lane, which in made]
                value = _shuffle(values, order) if lanes > 1 else values[order[0]]
                b.store(self.output, target + index * lanes, value, lanes)

    def _columns(self, size: int, share: int) -> Any:
        """Yield, in a loop, the first elements of vectors that cover ``size``, and their lanes."""
        b, lanes = self.b, min(self.lanes, floor_power_of_two(size))
        turns = -(-size // lanes)
        with (b.parallel if 1 < share <= turns else b.serial)(turns) as index:
            yield b.let(minimum(index * lanes, size - lanes)), lanes


def _place(index: Expr, step: int, group: tuple[int, int]) -> Expr:
    """Return where an element is; an index known at run time only is a group's first."""
    size, inner = group
    if size == 1:
        return index * step
    if isinstance(index, int):
        return index // size * step + index % size * inner
    return index // size * step


def _shuffle(vectors: list[Expr], order: Any) -> Expr:
    return tirx.Shuffle(vectors, [tirx.IntImm("int32", lane) for lane in order])
