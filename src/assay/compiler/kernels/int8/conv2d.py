"""Quantized convolution of any window, stride, dilation, padding and groups, as a matrix product.

1x1 convolutions are the same with less to do: their pixels are the rows of the product.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.compiler.kernels.int8.depth import Depth
from assay.compiler.kernels.int8.dot import Dot, choose_dot
from assay.compiler.kernels.int8.plan import Grid, Placement
from assay.compiler.kernels.int8.problem import Linear, PackedWeights, QuantizedConv2d
from assay.compiler.kernels.int8.product import Product, pack_product
from assay.compiler.kernels.int8.product_kernel import write_product
from assay.compiler.kernels.int8.views import ConvertedRows, InPlace, PaddedBand, View
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.target import Isa


def applicable(problem: QuantizedConv2d) -> bool:
    """Tell whether the kernel fits: always."""
    return True


def pack(
    problem: QuantizedConv2d,
    isa: Isa,
    weights: NDArray[np.int8],
    bias: NDArray[np.int32],
    multipliers: NDArray[np.float32],
) -> PackedWeights:
    """Pack weights int8 HWIO as stored, bias int32 [out_c] and multipliers float32 [out_c]."""
    product = _product(problem, isa)
    segments = weights.reshape(product.depth.segments, product.depth.length, -1)
    return pack_product(product, isa, segments, bias, multipliers)


def generate(problem: QuantizedConv2d, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`QuantizedConv2d` says."""
    return write_product(_product(problem, isa), isa, name, parallel)


def _product(problem: QuantizedConv2d, isa: Isa) -> Product:
    p, dot = problem.geometry, choose_dot(isa)
    if not _uses_pixels_in_order(p):
        return window_product(problem, p, dot)
    grid = Grid(1, 1, p.batch * p.out_h * p.out_w, 1, p.out_c)
    view = _in_place(p, dot) or ConvertedRows(dot, p.in_c)
    return Product(problem, grid, _depth(p, view), view)


def window_product(
    problem: Linear, geometry: Conv2d, dot: Dot, placement: Placement | None = None
) -> Product:
    """Return the product of a problem's input, or part of it, seen through a geometry's windows."""
    p = geometry
    view = _in_place(p, dot) or PaddedBand(dot, p, problem.input_zero_point)
    grid = Grid(p.batch, p.out_h, p.out_w, p.groups, p.out_c // p.groups)
    return Product(problem, grid, _depth(p, view), view, placement)


def _uses_pixels_in_order(p: Conv2d) -> bool:
    single = (p.kernel_h, p.kernel_w, p.stride_h, p.stride_w, p.groups) == (1, 1, 1, 1, 1)
    return single and _inside(p) and (p.out_h, p.out_w) == (p.in_h, p.in_w)


def _in_place(p: Conv2d, dot: Dot) -> View | None:
    """Return the image itself if windows stay on it and the dot takes its bytes as they are."""
    if dot.reads_stored and _inside(p) and _depth_of_pixels(p, p.in_w).length >= dot.taps:
        line, first = p.in_w * p.in_c, -(p.pad_top * p.in_w + p.pad_left) * p.in_c
        return InPlace(p.in_h * line, p.stride_h * line, p.stride_w * p.in_c, first)
    return None


def _inside(p: Conv2d) -> bool:
    """Tell whether no window leaves the image."""
    windows = (p.rows, p.columns)
    return all(len(window.complete_outputs()) == window.out_size for window in windows)


def _depth(p: Conv2d, view: View) -> Depth:
    return _depth_of_pixels(p, view.width if isinstance(view, PaddedBand) else p.in_w)


def _depth_of_pixels(p: Conv2d, width: int) -> Depth:
    """Return the sum over a window of an image (or band) of ``width`` pixels per row."""
    line = p.dilation_h * width * p.in_c
    if p.groups == 1 and (p.dilation_w == 1 or p.kernel_w == 1):
        return Depth(p.kernel_h, line, 1, 0, p.kernel_w * p.in_c)
    in_group = p.in_c // p.groups
    return Depth(p.kernel_h, line, p.kernel_w, p.dilation_w * p.in_c, in_group)
