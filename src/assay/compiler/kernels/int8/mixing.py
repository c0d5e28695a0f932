"""Which rows and columns bilinear resizing mixes, and by which weights, as TFLite's kernel does.

It counts weights in 1/1024. What all weights along an axis are multiples of is left out, so that
they have few bits where images grow or shrink by simple factors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BITS = 10  # of a weight, which TFLite counts in 1/1024
_ONE = 1 << _BITS


@dataclass(frozen=True)
class QuantizedResize:
    """Bilinear resizing of uint8 (stored) images; ``signed``: the model's own integers are int8.

    Kernel parameters, in order: input, table of rows and table of columns (int32
    [size, 3]: lower source, upper source, weight of the upper), output.
    """

    batch: int
    in_h: int
    in_w: int
    channels: int
    out_h: int
    out_w: int
    signed: bool
    align_corners: bool = False
    half_pixel_centers: bool = False


@dataclass(frozen=True)
class Mixing:
    """Where the outputs along an axis come from; weights of the upper source are of 2**bits."""

    lower: tuple[int, ...]
    upper: tuple[int, ...]
    weights: tuple[int, ...]
    bits: int

    @classmethod
    def of(cls, problem: QuantizedResize, in_size: int, out_size: int) -> Mixing:
        """Return TFLite's sources and weights, of as few bits as they need."""
        p = problem
        span, steps = in_size, out_size
        if p.align_corners and out_size > 1:
            span, steps = in_size - 1, out_size - 1
        scale = (_ONE * span + steps // 2) // steps
        position = np.arange(out_size, dtype=np.int64) * scale
        if p.half_pixel_centers:
            position += scale // 2 - _ONE // 2
        lower = np.clip(position // _ONE, 0, in_size - 1)
        upper = np.clip((position + _ONE - 1) // _ONE, 0, in_size - 1)
        weights = np.where(upper > lower, position - _ONE * lower, 0)
        step = int(np.gcd.reduce([_ONE, *weights.tolist()]))
        return cls(
            tuple(lower.tolist()),
            tuple(upper.tolist()),
            tuple((weights // step).tolist()),
            _BITS - step.bit_length() + 1,
        )

    @property
    def table(self) -> NDArray[np.int32]:
        """The table that a kernel reads."""
        return np.stack([self.lower, self.upper, self.weights], axis=1).astype(np.int32)

    @property
    def constant(self) -> int | None:
        """The weight that all outputs have, None if there are several."""
        return self.weights[0] if len(set(self.weights)) == 1 else None


def mixings(problem: QuantizedResize) -> tuple[Mixing, Mixing]:
    """Return where rows and columns come from."""
    p = problem
    return Mixing.of(p, p.in_h, p.out_h), Mixing.of(p, p.in_w, p.out_w)
