"""1x1 convolution without padding, of any stride: a matrix product over pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from assay.compiler.kernels.gemm import Product, Strips, column_runs, write_product
from assay.compiler.kernels.panels import pack_panels
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.target import Isa

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def applicable(problem: Conv2d) -> bool:
    """Tell whether each output pixel depends on one input pixel, which is there."""
    p = problem
    return (
        (p.kernel_h, p.kernel_w, p.groups, p.pad_top, p.pad_left) == (1, 1, 1, 0, 0)
        and (p.out_h - 1) * p.stride_h < p.in_h
        and (p.out_w - 1) * p.stride_w < p.in_w
    )


def pack(problem: Conv2d, isa: Isa, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pack weights [1, 1, in_c, out_c] into column panels, flat."""
    matrix = weights.reshape(problem.in_c, problem.out_c)
    return pack_panels(matrix, column_runs(isa, product_of(problem)))


def generate(problem: Conv2d, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`Conv2d` says."""
    return write_product(product_of(problem), isa, name, parallel)


def product_of(problem: Conv2d) -> Product:
    """Return the convolution as a product: a row per output pixel."""
    return Product(
        problem.input_shape,
        problem.output_shape,
        _strips(problem),
        problem.out_c,
        problem.in_c,
        problem.gate_shape if problem.input_gate else None,
        problem.epilogue,
    )


def _strips(problem: Conv2d) -> Strips:
    """One strip if all pixels are used in order; else one per batch item, or per image row."""
    p = problem
    image, pixels = p.in_h * p.in_w * p.in_c, p.out_h * p.out_w
    if (p.out_h, p.out_w) != (p.in_h, p.in_w):
        line = p.stride_h * p.in_w * p.in_c
        return Strips(p.batch, p.out_h, p.out_w, p.stride_w * p.in_c, line, image)
    if p.input_gate or p.epilogue.per_batch:
        return Strips(p.batch, 1, pixels, p.in_c, 0, image)
    return Strips(1, 1, p.batch * pixels, p.in_c, 0, 0)
