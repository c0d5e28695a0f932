"""Readers of Relax operators, a file for each kind; the table below says which reads what.

To add a kind: a problem and a generator in ``kernels/`` and a line in ``kernels/select.py``; a
reader here and a line in ``READERS``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from assay.compiler.passes.readers import (
    convolution,
    dense,
    elementwise,
    move,
    pool,
    reduction,
    resize,
    softmax,
    transposed,
)
from assay.compiler.passes.readers.operator import Operator, Reader

__all__ = ["READERS", "Operator", "Reader"]

READERS: tuple[Mapping[str, Reader], ...] = (
    MappingProxyType(
        {
            "nn.conv2d": convolution.read,
            "nn.conv2d_transpose": transposed.read,
            "matmul": dense.read,
        }
    ),
    MappingProxyType(
        {
            "nn.avg_pool2d": pool.read,
            "nn.max_pool2d": pool.read,
            "image.resize2d": resize.read,
            "nn.softmax": softmax.read,
            "take": resize.read_take,
            **dict.fromkeys(("max", "mean", "min", "sum"), reduction.read),
        }
    ),
    MappingProxyType(dict.fromkeys(elementwise.OPERATORS, elementwise.read)),
    MappingProxyType(dict.fromkeys(move.OPERATORS, move.read)),
)
"""Readers by operator, in the order in which kernels may claim the graph.

All operators of the first table go before any of the second: what costs most takes its neighbours
along, and the rest gets kernels of its own.
"""
