"""Quantized depthwise convolution: each channel by itself, vectors of channels, any window.

How it is written depends on what the instruction set's dot product sums within a lane: pairs of
image rows, which are brought side by side once for all windows, or register tiles of outputs that
bring the rows that they see side by side themselves.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.compiler.kernels.int8 import depthwise_pairs, depthwise_tiles
from assay.compiler.kernels.int8.depthwise_pack import depthwise_dot
from assay.compiler.kernels.int8.panels import LEAST_LANES
from assay.compiler.kernels.int8.problem import PackedWeights, QuantizedConv2d
from assay.compiler.target import Isa

MOST_TAPS = 121  # 11x11: windows are unrolled


def applicable(problem: QuantizedConv2d) -> bool:
    """Tell whether each group has one input channel, and the window is not huge."""
    p = problem.geometry
    one_each = p.groups == p.in_c > 1 and p.out_c >= LEAST_LANES
    return one_each and p.kernel_h * p.kernel_w <= MOST_TAPS


def generate(problem: QuantizedConv2d, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`QuantizedConv2d` says."""
    return _way(problem, isa).generate(problem, isa, name, parallel)


def pack(
    problem: QuantizedConv2d,
    isa: Isa,
    weights: NDArray[np.int8],
    bias: NDArray[np.int32],
    multipliers: NDArray[np.float32],
) -> PackedWeights:
    """Pack weights int8 [kernel_h, kernel_w, 1, out_c] as stored, bias and multipliers [out_c]."""
    packed: PackedWeights = _way(problem, isa).pack(problem, isa, weights, bias, multipliers)
    return packed


def _way(problem: QuantizedConv2d, isa: Isa) -> ModuleType:
    return depthwise_pairs if depthwise_dot(problem, isa).taps == 2 else depthwise_tiles
