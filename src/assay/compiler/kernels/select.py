"""Which generator solves a problem."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from assay.compiler.kernels import (
    batch_matmul,
    dense,
    depthwise,
    direct,
    elementwise,
    move,
    narrow,
    pointwise,
    pool,
    reduction,
    resize,
    resize_lines,
    softmax,
    transposed,
    winograd,
    winograd_rows,
)
from assay.compiler.kernels.batch_matmul import BatchMatmul
from assay.compiler.kernels.elementwise import Elementwise
from assay.compiler.kernels.generator import Generator
from assay.compiler.kernels.int8.select import INT8_GENERATORS
from assay.compiler.kernels.move import Move
from assay.compiler.kernels.nchw import convolution as nchw_convolution
from assay.compiler.kernels.nchw import depthwise as nchw_depthwise
from assay.compiler.kernels.nchw import direct as nchw_direct
from assay.compiler.kernels.nchw import pointwise as nchw_pointwise
from assay.compiler.kernels.nchw import pool as nchw_pool
from assay.compiler.kernels.nchw import transposed as nchw_transposed
from assay.compiler.kernels.nchw import winograd as nchw_winograd
from assay.compiler.kernels.nchw import winograd_rows as nchw_winograd_rows
from assay.compiler.kernels.pool import Pool2d
from assay.compiler.kernels.problem import Conv2d, Dense
from assay.compiler.kernels.reduction import Reduction
from assay.compiler.kernels.resize import Resize
from assay.compiler.kernels.softmax import Softmax
from assay.compiler.kernels.transposed import TransposedConv2d
from assay.compiler.target import Isa

GENERATORS: Mapping[type, tuple[Generator, ...]] = MappingProxyType(
    {
        BatchMatmul: (batch_matmul,),
        Conv2d: (nchw_depthwise, nchw_pointwise, nchw_convolution, pointwise, depthwise, direct),
        Dense: (dense,),
        Elementwise: (elementwise,),
        Move: (move,),
        Pool2d: (nchw_pool, pool),
        Reduction: (reduction,),
        Resize: (resize_lines, resize),
        Softmax: (softmax,),
        TransposedConv2d: (nchw_transposed, transposed),
        **INT8_GENERATORS,
    }
)
"""Generators by type of problem, the best first."""


def generator_for(problem: Any, isa: Isa, aggressive: bool = False) -> Generator | None:
    """Return the best generator that can solve the problem, None if there is none.

    ``aggressive`` allows algorithms that change the last bits of the result.
    """
    if isinstance(problem, Conv2d):
        if problem.input_layout is not None:
            rows = nchw_winograd_rows
            if aggressive and rows.applicable(problem) and rows.worthwhile(problem, isa):
                return rows
            unrolls = nchw_convolution.applicable(problem)
            if unrolls and not nchw_direct.worthwhile(problem, isa):
                return nchw_convolution
            return nchw_direct if nchw_direct.applicable(problem) else None
        few = narrow.applicable(problem) and narrow.worthwhile(problem, isa)
        if aggressive and not (few and narrow.fits_a_vector(problem, isa)):
            for choice in (winograd, nchw_winograd, winograd_rows):
                if choice.applicable(problem) and choice.worthwhile(problem, isa):
                    return choice
        if few:
            return narrow
        if nchw_direct.applicable(problem) and nchw_direct.worthwhile(problem, isa):
            return nchw_direct
    choices = GENERATORS.get(type(problem), ())
    return next((choice for choice in choices if choice.applicable(problem)), None)
