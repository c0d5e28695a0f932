"""Quantized dense layers: a matrix product with constant weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.compiler.kernels.int8.depth import Depth
from assay.compiler.kernels.int8.dot import choose_dot
from assay.compiler.kernels.int8.plan import Grid
from assay.compiler.kernels.int8.problem import PackedWeights, QuantizedDense
from assay.compiler.kernels.int8.product import Product, pack_product
from assay.compiler.kernels.int8.product_kernel import write_product
from assay.compiler.kernels.int8.views import ConvertedRows, InPlace, View
from assay.compiler.target import Isa


def applicable(problem: QuantizedDense) -> bool:
    """Tell whether the kernel fits: always."""
    return True


def pack(
    problem: QuantizedDense,
    isa: Isa,
    weights: NDArray[np.int8],
    bias: NDArray[np.int32],
    multipliers: NDArray[np.float32],
) -> PackedWeights:
    """Pack weights int8 [inputs, outputs] as stored, bias int32, multipliers float32 [outputs]."""
    return pack_product(_product(problem, isa), isa, weights[None], bias, multipliers)


def generate(problem: QuantizedDense, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`QuantizedDense` says."""
    return write_product(_product(problem, isa), isa, name, parallel)


def _product(problem: QuantizedDense, isa: Isa) -> Product:
    p, dot = problem.geometry, choose_dot(isa)
    view: View = ConvertedRows(dot, p.in_features)
    if dot.reads_stored and p.in_features >= dot.taps:
        view = InPlace(0, 0, p.in_features)
    depth = Depth(1, 0, 1, 0, p.in_features)
    return Product(problem, Grid(1, 1, p.rows, 1, p.out_features), depth, view)
