"""Quantized transposed convolution of any stride, window, cropping and number of groups.

As in :mod:`assay.compiler.kernels.transposed`, outputs of one phase of rows and one of columns are
a convolution of stride 1 with every stride-th tap of the window, in reverse. Each is an integer
product of its own that writes every stride-th pixel; a phase that no tap falls on gets the bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.compiler.kernels.int8.conv2d import window_product
from assay.compiler.kernels.int8.dot import choose_dot
from assay.compiler.kernels.int8.plan import Placement
from assay.compiler.kernels.int8.problem import PackedWeights, QuantizedTransposedConv2d
from assay.compiler.kernels.int8.product import Product, pack_product
from assay.compiler.kernels.int8.product_kernel import write_products
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.target import Isa


def applicable(problem: QuantizedTransposedConv2d) -> bool:
    """Tell whether the kernel fits: always."""
    return True


def pack(
    problem: QuantizedTransposedConv2d,
    isa: Isa,
    weights: NDArray[np.int8],
    bias: NDArray[np.int32],
    multipliers: NDArray[np.float32],
) -> PackedWeights:
    """Pack weights int8 HWIO as stored, bias int32 [out_c] and multipliers float32 [out_c]."""
    pieces = []
    for rows, columns, product in _phases(problem, isa):
        own = weights[np.ix_(rows.taps, columns.taps)]
        if own.size == 0:
            own = np.full((1, 1, *weights.shape[2:]), problem.weights_zero_point, np.int8)
        segments = own.reshape(product.depth.segments, product.depth.length, -1)
        pieces.append(pack_product(product, isa, segments, bias, multipliers))
    return PackedWeights(*(np.concatenate(each) for each in zip(*pieces, strict=True)))


def generate(problem: QuantizedTransposedConv2d, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`QuantizedTransposedConv2d` says."""
    products = [product for _, _, product in _phases(problem, isa)]
    return write_products(products, isa, name, parallel)


@dataclass(frozen=True)
class _Phase:
    """Outputs along an axis from ``first`` on, one in every stride, ``count`` in all.

    ``taps`` are those of the window that they see, in the order of the input, of which the first
    falls ``pad`` before the output's number.
    """

    first: int
    count: int
    taps: tuple[int, ...]
    pad: int


def _axis_phases(kernel: int, stride: int, pad: int, out_size: int) -> list[_Phase]:
    phases = []
    for first in range(min(stride, out_size)):
        quotient, phase = divmod(first + pad, stride)
        taps = tuple(range(phase, kernel, stride))[::-1]
        count = len(range(first, out_size, stride))
        phases.append(_Phase(first, count, taps, len(taps) - 1 - quotient if taps else 0))
    return phases


def _phases(problem: QuantizedTransposedConv2d, isa: Isa) -> list[tuple[_Phase, _Phase, Product]]:
    p, dot = problem.geometry, choose_dot(isa)
    found = []
    for rows in _axis_phases(p.kernel_h, p.stride_h, p.pad_top, p.out_h):
        for columns in _axis_phases(p.kernel_w, p.stride_w, p.pad_left, p.out_w):
            seen = bool(rows.taps and columns.taps)
            geometry = Conv2d(
                p.batch, p.in_h, p.in_w, p.in_c, rows.count, columns.count, p.out_c,
                len(rows.taps) if seen else 1, len(columns.taps) if seen else 1,
                pad_top=rows.pad if seen else 0, pad_left=columns.pad if seen else 0,
                groups=p.groups,
            )  # fmt: skip
            first = rows.first * p.out_w + columns.first
            placement = Placement(p.out_h * p.out_w, p.stride_h * p.out_w, p.stride_w, first)
            found.append((rows, columns, window_product(problem, geometry, dot, placement)))
    return found
