"""Which generators solve quantized problems."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from assay.compiler.kernels.generator import Generator
from assay.compiler.kernels.int8 import (
    argmax,
    batch_matmul,
    concat,
    conv2d,
    convert,
    dense,
    depthwise,
    elementwise,
    lookup,
    mean,
    pick,
    pool,
    resize,
    softmax,
    transposed,
)
from assay.compiler.kernels.int8.mixing import QuantizedResize
from assay.compiler.kernels.int8.nchw import convolution as nchw_convolution
from assay.compiler.kernels.int8.nchw import pool as nchw_pool
from assay.compiler.kernels.int8.problem import (
    QuantizedBatchMatmul,
    QuantizedConv2d,
    QuantizedDense,
    QuantizedTransposedConv2d,
)

INT8_GENERATORS: Mapping[type, tuple[Generator, ...]] = MappingProxyType(
    {
        QuantizedBatchMatmul: (batch_matmul,),
        QuantizedConv2d: (nchw_convolution, depthwise, conv2d),
        QuantizedDense: (dense,),
        QuantizedTransposedConv2d: (transposed,),
        argmax.QuantizedArg: (argmax,),
        concat.QuantizedConcat: (concat,),
        concat.QuantizedPad: (concat,),
        convert.Dequantize: (convert,),
        convert.Quantize: (convert,),
        convert.Shift: (convert,),
        elementwise.QuantizedAdd: (elementwise,),
        elementwise.QuantizedMultiply: (elementwise,),
        elementwise.QuantizedPrelu: (elementwise,),
        elementwise.Requantize: (elementwise,),
        lookup.Lookup: (lookup,),
        mean.QuantizedMean: (mean,),
        pick.QuantizedPick: (pick,),
        pool.QuantizedPool2d: (nchw_pool, pool),
        QuantizedResize: (resize,),
        softmax.QuantizedSoftmax: (softmax,),
    }
)
"""Generators by type of problem, the best first."""
