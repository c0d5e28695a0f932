"""Sums in registers: the int32 tile of a product, and the sums of its inputs."""

from __future__ import annotations

from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, RegisterTile, constant
from assay.compiler.kernels.int8.depth import Depth
from assay.compiler.kernels.int8.dot import Dot
from assay.compiler.kernels.int8.vectors import llvm, shuffle

_LANES = 4
_CHUNK = 16  # bytes, 4 lanes of 4 taps


class SumTile(RegisterTile):
    """A register tile of integers."""

    def __init__(
        self,
        builder: KernelBuilder,
        rows: int,
        widths: tuple[int, ...],
        dtype: str = "int32",
    ) -> None:
        """Declare ``rows`` x ``len(widths)`` vectors; ``widths`` are lanes."""
        super().__init__(builder, rows, widths)
        self.dtype = dtype

    def save(self) -> None:
        """Move all vectors to memory, where they stay until one is asked for."""
        for place, value in self._values.items():
            lanes = self.widths[place[1]]
            if place not in self._memory:
                self._memory[place] = self._builder.workspace("sum", lanes, self.dtype)
            self._builder.store(self._memory[place], 0, value, lanes)
        self._values = {}


def sum_inputs(b: KernelBuilder, dot: Dot, depth: Depth, source: Buffer, start: Expr) -> Expr:
    """Return the sum of all inputs of one output as an int32; for dots of 4 taps.

    ``sum(x * (w - c)) = sum(x * w) - c * sum(x)``: weights with a zero point c need it.
    """
    tile = SumTile(b, 1, (_LANES,))
    tile.fill([constant(0, _LANES, "int32")])
    chunks = depth.length // _CHUNK
    with b.serial(depth.segments, carry=tile) as segment:
        first = b.let(start + depth.start(segment))
        if chunks:
            with b.serial(chunks, carry=tile) as chunk:
                inputs = b.let(b.load(source, first + chunk * _CHUNK, _CHUNK))
                _add(dot, tile, inputs, constant(1, _CHUNK, "int8"))
        for position in range(chunks * _CHUNK, depth.length, dot.taps):
            begin = max(min(position, depth.length - dot.taps), 0)
            inputs = dot.load_inputs(b, source, first + begin, _LANES)
            seen = position - begin
            _add(dot, tile, inputs, _ones(seen, min(dot.taps, seen + depth.length - position)))
    return b.let(llvm("int32", 1, "llvm.vector.reduce.add", tile.get(0, 0)))


def _add(dot: Dot, tile: SumTile, inputs: Expr, ones: Expr) -> None:
    tile.put(0, 0, dot.add(tile.get(0, 0), inputs, ones, _LANES))


def _ones(first: int, end: int) -> Expr:
    """Weights that are 1 for taps ``first`` to ``end`` of lane 0 and 0 for all else."""
    return shuffle(
        [constant(first <= tap < end, 1, "int8") for tap in range(_CHUNK)], range(_CHUNK)
    )
