"""Constants of a depthwise kernel: weights by pattern of image rows, and what comes per channel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay.compiler.kernels.builder import Expr, minimum
from assay.compiler.kernels.int8.dot import Dot, choose_dot, choose_wide_dot
from assay.compiler.kernels.int8.interleave import lanes_of, most_channels
from assay.compiler.kernels.int8.panels import column_vectors
from assay.compiler.kernels.int8.problem import PackedWeights, QuantizedConv2d, folded_bias
from assay.compiler.kernels.int8.rowplan import plan_rows, tile_size
from assay.compiler.kernels.int8.stored import lane_order
from assay.compiler.target import Isa

ACCEPTABLE_OVERLAP = 0.125  # share of channels computed twice; code for another width costs more


@dataclass(frozen=True)
class ChannelRun:
    """``count`` vectors of ``width`` channels; the last ends with channel ``end``.

    ``packed`` is how many packed channels come before.
    """

    start: int
    count: int
    width: int
    end: int
    packed: int

    def first(self, index: Expr) -> Expr:
        """Return the first channel of a vector; the last may overlap the one before."""
        if self.count == 1:
            return self.end - self.width
        return minimum(self.start + index * self.width, self.end - self.width)


def channel_runs(channels: int, most: int) -> tuple[ChannelRun, ...]:
    """Cover channels with vectors of at most ``most``, of one width or two."""
    vectors = column_vectors(channels, most)
    width, (last, rest) = vectors[0][1], vectors[-1]
    twice = len(vectors) * width - channels
    if rest == width or twice <= ACCEPTABLE_OVERLAP * channels:
        return (ChannelRun(0, len(vectors), width, channels, 0),)
    whole = (len(vectors) - 1) * width
    return (
        ChannelRun(0, len(vectors) - 1, width, whole, 0),
        ChannelRun(last, 1, rest, channels, whole),
    )


def packed_channels(runs: tuple[ChannelRun, ...]) -> int:
    """Return the channels of all vectors together."""
    return sum(run.count * run.width for run in runs)


def depthwise_dot(problem: QuantizedConv2d, isa: Isa) -> Dot:
    """Return the dot product; weights with a zero point have 9 bits and need a wide one."""
    return choose_wide_dot(isa) if problem.weights_zero_point else choose_dot(isa)


def pack(
    problem: QuantizedConv2d,
    isa: Isa,
    weights: NDArray[np.int8],
    bias: NDArray[np.int32],
    multipliers: NDArray[np.float32],
) -> PackedWeights:
    """Pack weights int8 [kernel_h, kernel_w, 1, out_c] as stored, bias and multipliers [out_c].

    For each vector of channels: [patterns][kernel_w][channels][taps], int16 if zero points are
    taken off.
    """
    p, dot = problem.geometry, depthwise_dot(problem, isa)
    zero_point = problem.input_zero_point - dot.input_offset
    bias = folded_bias(bias, weights, zero_point, problem.weights_zero_point)
    centred = weights[:, :, 0].astype(np.int16) - problem.weights_zero_point
    rows, _ = tile_size(p, isa, dot)
    taps = np.zeros(
        (len(plan_rows(p, dot, rows).patterns), p.kernel_w, p.out_c, dot.taps), np.int16
    )
    for index, pattern in enumerate(plan_rows(p, dot, rows).patterns):
        for place, tap in enumerate(pattern):
            if tap is not None:
                taps[index, :, :, place] = centred[tap]
    dtype = np.int16 if dot.wide_weights else np.int8
    order = list(_channel_order(isa, dot, p.out_c))
    return PackedWeights(
        np.concatenate([taps[:, :, channels].reshape(-1) for channels in order]).astype(dtype),
        np.concatenate([bias[channels] for channels in order]),
        np.concatenate([multipliers[channels] for channels in order]).astype(np.float32),
    )


def _channel_order(isa: Isa, dot: Dot, channels: int) -> Iterator[NDArray[np.intp]]:
    """Yield the channels of each vector's lanes."""
    for run in channel_runs(channels, most_channels(isa, dot)):
        order = np.array(lane_order(isa, *lanes_of(dot, run.width)))
        for index in range(run.count):
            yield run.first(index) + order
