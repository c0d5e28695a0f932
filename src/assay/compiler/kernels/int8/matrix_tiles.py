"""AMX: instructions that multiply whole tiles of 8-bit integers, and the loops' way to them.

A tile is up to 16 rows of up to 64 bytes. One multiplication takes a left tile [rows][depth] of
uint8, a right tile [depth / 4][16 columns][4] of int8, and adds to a tile [rows][16] of int32, in
16 cycles (Intel's Optimization Reference Manual; with fewer rows it takes less, with less depth it
does not). A core has eight tiles; their shapes are set once for all multiplications that follow.
"""

from __future__ import annotations

from tvm import tirx

from assay.compiler.kernels.builder import Buffer, Expr, constant
from assay.compiler.kernels.int8.builder import IntegerKernelBuilder

TILE_ROWS = 16
TILE_BYTES = 64  # of a row
TILE_COLUMNS = 16  # of a tile of sums
SUM_TILES = 4  # the first of eight tiles

_LEFT = 4  # of all steps: the CPU renames tiles
_RIGHT = (6, 7)
_CONFIGURATION_BYTES = 64
_PALETTE = 1


class TileKernelBuilder(IntegerKernelBuilder):
    """A builder that knows the instructions on tiles.

    Sums are in tiles 0 to 3. All from :meth:`configure_tiles` to :meth:`release_tiles` has to run
    on one thread: tiles belong to it.
    """

    def configure_tiles(self, rows: int, depth: int) -> None:
        """Set shapes: ``rows`` of the left operand and the sums, ``depth`` bytes, 16 columns."""
        shapes = (
            [(rows, TILE_BYTES)] * SUM_TILES + [(rows, depth)] * 2 + [(depth // 4, TILE_BYTES)] * 2
        )
        fields = {0: _PALETTE}
        for tile, (tile_rows, row_bytes) in enumerate(shapes):
            fields[16 + 2 * tile] = row_bytes
            fields[48 + tile] = tile_rows
        space = self.workspace("tile_shapes", _CONFIGURATION_BYTES, "uint8")
        self.store(space, 0, constant(0, _CONFIGURATION_BYTES, "uint8"), _CONFIGURATION_BYTES)
        for place, value in fields.items():
            self.store(space, place, constant(value, 1, "uint8"))
        self._call("ldtilecfg", self._address(space, 0))

    def release_tiles(self) -> None:
        """Give the tiles back: while they are in use, the system has 8 KiB more to save."""
        self._call("tilerelease")

    def load_sums(self, tile: int, source: Buffer, offset: Expr) -> None:
        """Set all rows of a tile of sums to the same 16 int32."""
        self._load(tile, source, offset, 0)

    def load_left(self, source: Buffer, offset: Expr, step: int) -> None:
        """Load the left operand, whose rows are ``step`` bytes apart."""
        self._load(_LEFT, source, offset, step)

    def add_product(self, tile: int, right: Buffer, offset: Expr, step: int) -> None:
        """Load a right operand, whose rows are ``step`` bytes apart; add its product to a tile."""
        operand = _RIGHT[tile % 2]
        self._load(operand, right, offset, step)
        self._call("tdpbusd", _tile(tile), _tile(_LEFT), _tile(operand))

    def store_sums(self, tile: int, target: Buffer, offset: Expr) -> None:
        """Store a tile of int32 sums, row after row."""
        self._call("tilestored64", _tile(tile), self._address(target, offset), _step(TILE_BYTES))

    def _load(self, tile: int, source: Buffer, offset: Expr, step: int) -> None:
        self._call("tileloadd64", _tile(tile), self._address(source, offset), _step(step))

    def _address(self, buffer: Buffer, offset: Expr) -> Expr:
        return tirx.address_of(self.load(buffer, offset))

    def _call(self, name: str, *operands: Expr) -> None:
        self._uses |= {"amx-tile", "amx-int8"}
        self._emit(tirx.Evaluate(tirx.call_llvm_intrin("void", f"llvm.x86.{name}", *operands)))


def _tile(number: int) -> Expr:
    return tirx.IntImm("int8", number)


def _step(size: int) -> Expr:
    return tirx.IntImm("int64", size)
