"""Sliding windows along one axis: which taps fall inside the image, and tiles of outputs."""

from __future__ import annotations

from dataclasses import dataclass

from assay.compiler.kernels.builder import Expr, KernelBuilder, maximum, minimum
from assay.compiler.kernels.splits import split_evenly


@dataclass(frozen=True)
class Window:
    """Output ``o`` looks at input ``o * stride + tap * dilation - pad`` for each tap."""

    in_size: int
    out_size: int
    kernel: int
    stride: int
    pad: int
    dilation: int = 1

    def source(self, output: int, tap: int) -> int:
        """Return the input position of a tap; it may lie outside the image."""
        return output * self.stride + tap * self.dilation - self.pad

    def inside(self, output: int, tap: int) -> bool:
        """Tell whether a tap falls on the image."""
        return 0 <= self.source(output, tap) < self.in_size

    def complete(self, output: int) -> bool:
        """Tell whether all taps of an output fall on the image."""
        return self.inside(output, 0) and self.inside(output, self.kernel - 1)

    def complete_outputs(self) -> range:
        """Return the outputs whose taps all fall on the image."""
        complete = [o for o in range(self.out_size) if self.complete(o)]
        return range(complete[0], complete[-1] + 1) if complete else range(0)

    @property
    def some_see_nothing(self) -> bool:
        """Whether an output has no tap on the image at all."""
        return not all(
            any(self.inside(output, tap) for tap in range(self.kernel))
            for output in range(self.out_size)
        )

    def taps(self, b: KernelBuilder, output: Expr) -> tuple[Expr, Expr]:
        """Return the first tap on the image and their number, for an output known at run time.

        Tap t is inside if before <= t * dilation < in_size + before.
        """
        before = self.pad - output * self.stride
        first = (maximum(before, 0) + (self.dilation - 1)) // self.dilation
        end = (self.in_size + before + (self.dilation - 1)) // self.dilation
        first = b.let(first)
        return first, b.let(maximum(minimum(end, self.kernel) - first, 0))


@dataclass(frozen=True)
class OutputTiles:
    """``count`` tiles of ``size`` outputs each; ``complete`` if no tap leaves the image.

    Incomplete tiles come one by one, so that the taps that leave the image are known from
    ``start`` when the code is generated.
    """

    start: int
    count: int
    size: int
    complete: bool

    @property
    def stop(self) -> int:
        """The output after the last."""
        return self.start + self.count * self.size


def tile_outputs(window: Window, most: int) -> tuple[OutputTiles, ...]:
    """Cut the outputs into even tiles of at most ``most``, runs of complete ones together."""
    runs: list[OutputTiles] = []
    for first, count, size in split_evenly(window.out_size, most).parts():
        for start in range(first, first + count * size, size):
            complete = window.complete(start) and window.complete(start + size - 1)
            last = runs[-1] if runs else None
            if last and complete and last.complete and last.size == size:
                runs[-1] = OutputTiles(last.start, last.count + 1, size, True)
            else:
                runs.append(OutputTiles(start, 1, size, complete))
    return tuple(runs)
