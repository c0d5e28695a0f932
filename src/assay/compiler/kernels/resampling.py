"""Which elements along an axis each resized one is made of, and their weights.

Positions are computed in float32, in TFLite's order of operations for images of RESIZE_BILINEAR;
ONNX's Resize has the same formulas, and those of nearest and cubic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_NUDGE = 1e-5  # as in TVM's kernels, so that no opt level takes another pixel


@dataclass(frozen=True)
class Resampling:
    """For each output along an axis, the ``taps`` inputs it is the weighted sum of.

    ``sources`` and ``weights`` are [outputs][taps].
    """

    inputs: int
    sources: tuple[tuple[int, ...], ...]
    weights: tuple[tuple[float, ...], ...]

    @property
    def outputs(self) -> int:
        """Size of the axis in the output."""
        return len(self.sources)

    @property
    def taps(self) -> int:
        """How many inputs an output is made of."""
        return len(self.sources[0])

    @property
    def picks(self) -> tuple[int, ...]:
        """The inputs of outputs that are made of one each."""
        return tuple(source for (source,) in self.sources)


def picked(inputs: int, sources: list[int]) -> Resampling:
    """Take single inputs."""
    return Resampling(inputs, tuple((int(each),) for each in sources), ((1.0,),) * len(sources))


def nearest(inputs: int, outputs: int, mode: str, rounding: str) -> Resampling | None:
    """Take the input next to each position; None if the mode or the rounding is not known."""
    position = _positions(inputs, outputs, mode)
    if position is None or rounding not in _ROUNDINGS:
        return None
    if mode == "asymmetric" and rounding == "floor" and outputs % inputs == 0:
        chosen = np.arange(outputs) // (outputs // inputs)
    else:
        chosen = np.clip(_ROUNDINGS[rounding](position), 0, inputs - 1).astype(np.int64)
    return picked(inputs, chosen.tolist())


def linear(inputs: int, outputs: int, mode: str) -> Resampling | None:
    """Mix the two neighbours of each position; None if the mode is not known."""
    position = _positions(inputs, outputs, mode)
    if position is None:
        return None
    lower = np.floor(position)
    upper_weight = position - lower
    return _weighted(inputs, lower, [0, 1], [np.float32(1) - upper_weight, upper_weight])


def cubic(
    inputs: int, outputs: int, mode: str, alpha: float, exclude_outside: bool
) -> Resampling | None:
    """Mix four neighbours (Keys, "Cubic Convolution Interpolation", 1981); None as above.

    Pixels outside repeat the border, or do not count with ``exclude_outside``.
    """
    position = _positions(inputs, outputs, mode)
    if position is None:
        return None
    first = np.floor(position)
    t, a = position - first, np.float32(alpha)
    weights = [
        a * (t**3 - 2 * t**2 + t),
        (a + 2) * t**3 - (a + 3) * t**2 + 1,
        -(a + 2) * t**3 + (2 * a + 3) * t**2 - a * t,
        a * (t**2 - t**3),
    ]
    steps = [-1, 0, 1, 2]
    if exclude_outside:
        inside = [(first + step >= 0) & (first + step < inputs) for step in steps]
        weights = [np.where(*pair, 0) for pair in zip(inside, weights, strict=True)]
        total = np.sum(weights, axis=0)
        weights = [weight / total for weight in weights]
    return _weighted(inputs, first, steps, weights)


def _weighted(inputs: int, first: Floats, steps: list[int], weights: list[Floats]) -> Resampling:
    sources = np.stack([np.clip(first + step, 0, inputs - 1) for step in steps], axis=1)
    shares = np.stack(weights, axis=1).astype(np.float32)
    return Resampling(
        inputs,
        tuple(tuple(row) for row in sources.astype(np.int64).tolist()),
        tuple(tuple(row) for row in shares.tolist()),
    )


def _positions(inputs: int, outputs: int, mode: str) -> Floats | None:
    """Return where the centre of each output lies among the inputs, None for unknown modes."""
    at, half = np.arange(outputs, dtype=np.float32), np.float32(0.5)
    scale = np.float32(inputs) / np.float32(outputs)
    if mode == "align_corners":
        return at * (np.float32(inputs - 1) / np.float32(max(outputs - 1, 1)))
    if mode == "pytorch_half_pixel" and outputs == 1:
        return np.zeros(1, np.float32)
    if mode in ("half_pixel", "pytorch_half_pixel"):
        return (at + half) * scale - half
    return at * scale if mode == "asymmetric" else None


def _floor(position: Floats) -> Floats:
    return np.floor(position + np.float32(_NUDGE))


def _ceil(position: Floats) -> Floats:
    return np.ceil(position - np.float32(_NUDGE))


def _half_down(position: Floats) -> Floats:
    return np.ceil(position - np.float32(0.5))


def _half_up(position: Floats) -> Floats:
    return np.floor(position + np.float32(0.5))


_ROUNDINGS: Mapping[str, Callable[[Floats], Floats]] = MappingProxyType(
    {
        "floor": _floor,
        "ceil": _ceil,
        "round_prefer_floor": _half_down,
        "round_prefer_ceil": _half_up,
    }
)
