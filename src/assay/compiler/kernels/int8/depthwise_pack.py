"""Channels of depthwise kernels in vectors, and their constants: weights by pattern of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay.compiler.kernels import splits
from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, broadcast, minimum
from assay.compiler.kernels.int8.dot import Dot, choose_dot, choose_wide_dot
from assay.compiler.kernels.int8.interleave import channel_order
from assay.compiler.kernels.int8.panels import column_vectors
from assay.compiler.kernels.int8.problem import PackedWeights, QuantizedConv2d, folded_bias
from assay.compiler.kernels.int8.row_groups import Pattern
from assay.compiler.kernels.problem import Conv2d
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


@dataclass(frozen=True)
class Channels:
    """Channels worked on together: the first one, its place among the packed ones, how many.

    Their sums are ``vectors`` of ``lanes`` each.
    """

    first: Expr
    packed: Expr
    width: int
    lanes: int

    @classmethod
    def of(cls, b: KernelBuilder, isa: Isa, run: ChannelRun, index: Expr) -> Channels:
        """Return a vector of a run."""
        packed = b.let(run.packed + index * run.width)
        return cls(b.let(run.first(index)), packed, run.width, min(run.width, isa.lanes()))

    @property
    def vectors(self) -> int:
        """How many vectors of sums there are."""
        return self.width // self.lanes


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


@dataclass(frozen=True)
class Constants:
    """Buffers of what :func:`pack_taps` returns."""

    weights: Buffer
    bias: Buffer
    multipliers: Buffer

    @classmethod
    def parameters(cls, b: KernelBuilder, dot: Dot, steps: int, channels: int) -> Constants:
        """Add them to a kernel's parameters: ``steps`` dot products for each packed channel."""
        dtype = "int16" if dot.wide_weights else "int8"
        return cls(
            b.parameter("weights", (steps * dot.taps * channels,), dtype),
            b.parameter("bias", (channels,), "int32"),
            b.parameter("multipliers", (channels,)),
        )


def pack_taps(
    problem: QuantizedConv2d,
    dot: Dot,
    patterns: Sequence[Pattern],
    runs: Sequence[ChannelRun],
    weights: NDArray[np.int8],
    bias: NDArray[np.int32],
    multipliers: NDArray[np.float32],
) -> PackedWeights:
    """Pack weights int8 [kernel_h, kernel_w, 1, out_c] as stored, bias and multipliers [out_c].

    ``patterns`` say which rows of the window a dot product takes. For each vector of channels:
    [patterns][kernel_w][channels][taps], int16 if zero points are taken off.
    """
    p = problem.geometry
    zero_point = problem.input_zero_point - dot.input_offset
    bias = folded_bias(bias, weights, zero_point, problem.weights_zero_point)
    centred = weights[:, :, 0].astype(np.int16) - problem.weights_zero_point
    taps = np.zeros((len(patterns), p.kernel_w, p.out_c, dot.taps), np.int16)
    for index, pattern in enumerate(patterns):
        for place, tap in enumerate(pattern):
            if tap is not None:
                taps[index, :, :, place] = centred[tap]
    dtype = np.int16 if dot.wide_weights else np.int8
    vectors = [
        run.first(index) + np.array(channel_order(dot, run.width))
        for run in runs
        for index in range(run.count)
    ]
    return PackedWeights(
        np.concatenate([taps[:, :, channels].reshape(-1) for channels in vectors]).astype(dtype),
        np.concatenate([bias[channels] for channels in vectors]),
        np.concatenate([multipliers[channels] for channels in vectors]).astype(np.float32),
    )


def repeated_channels(b: KernelBuilder, p: Conv2d, isa: Isa, source: Buffer) -> Buffer:
    """Return the image, uint8 NHWC, with each channel as often as outputs read it."""
    multiplier, pixels = p.out_c // p.in_c, p.batch * p.in_h * p.in_w
    repeated = b.workspace("repeated", pixels * p.out_c, "uint8")
    with b.serial(pixels * p.in_c) as index:
        value = b.let(b.load(source, index))
        for start, lanes in splits.column_vectors(multiplier, isa.lanes(8)):
            b.store(repeated, index * multiplier + start, broadcast(value, lanes), lanes)
    return repeated
