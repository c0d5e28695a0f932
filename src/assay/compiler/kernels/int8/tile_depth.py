"""How the inputs of one output are cut up for products of matrix tiles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay.compiler.kernels.builder import Expr, KernelBuilder, minimum
from assay.compiler.kernels.int8.depth import Depth, Steps
from assay.compiler.kernels.int8.matrix_tiles import TILE_BYTES, TILE_COLUMNS

TAPS = 4  # inputs that are summed to one lane


@dataclass(frozen=True)
class TileDepth:
    """Blocks of equal size for each segment of a depth; sizes are multiples of four inputs.

    The last block of a segment ends with it, and weights of inputs that it sees again count as
    zero. A segment shorter than its only block is read on, if what is behind it ``goes_on``.
    """

    depth: Depth
    goes_on: bool

    @property
    def block(self) -> int:
        """Inputs of a block."""
        length = self.depth.length
        blocks = -(-length // TILE_BYTES)
        even = -(-length // (blocks * TAPS)) * TAPS
        return even if even <= length or self.goes_on else length // TAPS * TAPS

    @property
    def blocks(self) -> int:
        """Blocks of all segments."""
        return self.depth.segments * self._per_segment

    @property
    def steps(self) -> int:
        """Groups of four inputs of all blocks."""
        return self.blocks * self.block // TAPS

    def start(self, b: KernelBuilder, block: Expr) -> Expr:
        """Return where a block starts, from the first input on."""
        segment, index = block, 0
        if self._per_segment > 1:
            segment, index = b.let(block // self._per_segment), block % self._per_segment
        return b.let(self.depth.start(segment) + self._within(index))

    def pack(self, weights: NDArray[np.int8]) -> NDArray[np.int8]:
        """Arrange weights [segments, length, columns] as [steps, columns, 4], in order of use."""
        segments, length, columns = weights.shape
        blocks = np.zeros((segments, self._per_segment, self.block, columns), np.int8)
        for index in range(self._per_segment):
            start, first = int(self._within(index)), index * self.block
            own = weights[:, first : min(first + self.block, length)]
            blocks[:, index, first - start : first - start + own.shape[1]] = own
        return np.ascontiguousarray(blocks.reshape(-1, TAPS, columns).transpose(0, 2, 1))

    def pack_panel(self, words: NDArray[np.int32]) -> NDArray[np.int32]:
        """Arrange words [steps, columns] of four weights as tiles [block][tile][step][16], flat.

        So all right tiles of a panel are read from one end to the other.
        """
        shape = self.blocks, self.block // TAPS, -1, TILE_COLUMNS
        return words.reshape(shape).transpose(0, 2, 1, 3).reshape(-1)

    def run_time_steps(self) -> list[Steps]:
        """Return the steps of the only segment, a block at least, to pack weights at run time."""
        length, block = self.depth.length, self.block
        again = self._per_segment * block - length
        begin = length - block
        steps = [Steps(0, (begin + again) // TAPS, range(TAPS))]
        steps.append(Steps(begin, again // TAPS, range(0)))
        first = begin + again // TAPS * TAPS
        if again % TAPS:
            steps.append(Steps(first, 1, range(again % TAPS, TAPS)))
            first += TAPS
        steps.append(Steps(first, (length - first) // TAPS, range(TAPS)))
        return [each for each in steps if each.count]

    @property
    def _per_segment(self) -> int:
        return -(-self.depth.length // self.block)

    def _within(self, index: Expr) -> Expr:
        """Return where a block starts in its segment."""
        return minimum(index * self.block, max(self.depth.length - self.block, 0))
