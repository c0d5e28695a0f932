"""The quantized linear problems: what is computed, hashable, without any tactics.

With x and w as stored, the sum of an output is ``sum((x - input zero point) * (w - weights zero
point)) + bias``, exact in int32 (it wraps around, should it overflow). The output is
``round(float32(sum) * multiplier)``, rounded half to even and stored as :class:`StoredRange` says;
``multiplier`` is a float32 per output channel, and the product is rounded to float32 before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from assay.compiler.kernels.batch_matmul import BatchMatmul
from assay.compiler.kernels.int8.stored import StoredRange
from assay.compiler.kernels.problem import Conv2d, Dense
from assay.compiler.kernels.transposed import TransposedConv2d


@dataclass(frozen=True)
class Addition:
    """A tensor of the output's shape, added to the quantized result, as an ADD that follows would.

    With q the result as the problem's own output range stores it and r the tensor, the output is
    ``factor * (q - its zero point) + other_factor * (r - other_zero_point)``, each product and the
    sum rounded to float32, stored in ``output``. Factors are scales divided by the output's scale.
    """

    factor: float
    other_factor: float
    other_zero_point: int
    output: StoredRange


@dataclass(frozen=True)
class QuantizedConv2d:
    """A convolution of uint8 (stored) activations NHWC with int8 (stored) weights HWIO.

    ``geometry`` is the float problem's, without gate and steps of an epilogue. Taps outside the
    image count as zero points. ``shrinks`` says that all multipliers are below 1, so that no
    product is too large for an int32. Kernel parameters, in order: input, packed weights, bias and
    multipliers, the addition's tensor if any, output.
    """

    geometry: Conv2d
    input_zero_point: int
    output: StoredRange
    weights_zero_point: int = 0
    addition: Addition | None = None
    shrinks: bool = False

    def __post_init__(self) -> None:
        _check(self.input_zero_point, self.weights_zero_point)
        if self.geometry.epilogue.steps or self.geometry.input_gate:
            raise ValueError(f"a quantized convolution takes no epilogue and no gate: {self}")


@dataclass(frozen=True)
class QuantizedDense:
    """A matrix product of uint8 (stored) rows with int8 (stored) weights [inputs, outputs].

    ``shrinks`` and the kernel parameters as those of :class:`QuantizedConv2d`.
    """

    geometry: Dense
    input_zero_point: int
    output: StoredRange
    weights_zero_point: int = 0
    addition: Addition | None = None
    shrinks: bool = False

    def __post_init__(self) -> None:
        _check(self.input_zero_point, self.weights_zero_point)
        if self.geometry.epilogue.steps:
            raise ValueError(f"a quantized product takes no epilogue: {self}")


@dataclass(frozen=True)
class QuantizedTransposedConv2d:
    """A transposed convolution of uint8 (stored) activations NHWC with int8 (stored) weights HWIO.

    Outputs that no input adds to get the bias alone. ``shrinks`` and the kernel parameters as those
    of :class:`QuantizedConv2d`.
    """

    geometry: TransposedConv2d
    input_zero_point: int
    output: StoredRange
    weights_zero_point: int = 0
    addition: Addition | None = None
    shrinks: bool = False

    def __post_init__(self) -> None:
        _check(self.input_zero_point, self.weights_zero_point)
        if self.geometry.epilogue.steps:
            raise ValueError(f"a quantized transposed convolution takes no epilogue: {self}")


@dataclass(frozen=True)
class QuantizedBatchMatmul:
    """A matrix product of two uint8 (stored) tensors, one for each batch item.

    The right one's values less 128 are what other problems call weights, ``weights_zero_point``
    is theirs. ``geometry`` is the float problem's, without epilogue; ``shrinks`` as that of
    :class:`QuantizedConv2d`. Kernel parameters, in order: left, packed bias and multipliers,
    right, the addition's tensor if any, output.
    """

    geometry: BatchMatmul
    input_zero_point: int
    output: StoredRange
    weights_zero_point: int = 0
    addition: Addition | None = None
    shrinks: bool = False

    def __post_init__(self) -> None:
        _check(self.input_zero_point, self.weights_zero_point)
        if self.geometry.epilogue.steps:
            raise ValueError(f"a quantized product takes no epilogue: {self}")


Linear = QuantizedConv2d | QuantizedDense | QuantizedTransposedConv2d | QuantizedBatchMatmul
"""Problems whose sums are requantized per channel, with an addition if one follows."""


class PackedWeights(NamedTuple):
    """Constants of a kernel, flat: weights (int8 or int16), bias (int32), multipliers (float32)."""

    weights: NDArray[np.integer]
    bias: NDArray[np.int32]
    multipliers: NDArray[np.float32]


def multipliers(
    input_scale: float, weight_scales: ArrayLike, output_scale: float, channels: int
) -> NDArray[np.float32]:
    """Return ``input_scale * weight_scale / output_scale`` per channel, in float32 throughout.

    One weight scale serves all channels. The order of operations is that of XNNPACK's
    requantization, so that sums on the verge between two steps round the same way.
    """
    scales = np.broadcast_to(np.asarray(weight_scales, np.float32).reshape(-1), channels)
    return (np.float32(input_scale) * scales / np.float32(output_scale)).astype(np.float32)


def folded_bias(
    bias: NDArray[np.int32],
    weights: NDArray[np.int8],
    input_zero_point: int,
    weights_zero_point: int,
) -> NDArray[np.int32]:
    """Fold the input's zero point into the bias; ``weights`` are [..., channels] as stored.

    ``sum((x - a) * (w - c)) + bias = sum(x * (w - c)) + (bias - a * sum(w - c))``
    """
    depth = weights.size // weights.shape[-1]
    sums = weights.reshape(depth, -1).sum(0, dtype=np.int64) - depth * weights_zero_point
    return (bias.astype(np.int64) - input_zero_point * sums).astype(np.int32)


def _check(input_zero_point: int, weights_zero_point: int) -> None:
    if not (0 <= input_zero_point <= 255 and -128 <= weights_zero_point <= 127):
        raise ValueError(
            f"zero points are those of stored values, uint8 and int8: {input_zero_point}, "
            f"{weights_zero_point}"
        )
