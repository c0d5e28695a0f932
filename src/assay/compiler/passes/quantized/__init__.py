"""Readers of quantized operators, a file for each kind; the table below says which reads what.

TVM's importer writes ``quantize(op(dequantize(x), ...))`` and, for a fused activation, a clip of
the integers. From such groups the readers learn what the model file said: the integer tensors,
their scales and zero points, and the limits of the activation.

To add a kind: a problem and a generator in ``kernels/int8/`` and a line in ``kernels/select.py``; a
reader here and a line in ``READERS``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from assay.compiler.passes.chains import Graph
from assay.compiler.passes.quantized import (
    borders,
    elementwise,
    linear,
    movement,
    products,
    reductions,
    searches,
    tables,
    transposed,
)
from assay.compiler.passes.quantized.movement import MOVES
from assay.compiler.passes.quantized.operator import QuantizedOperator, Reader

__all__ = ["MOVES", "READERS", "QuantizedOperator", "Reader", "claimable"]

READERS: tuple[Mapping[str, Reader], ...] = (
    MappingProxyType(
        {
            "nn.conv2d": linear.read,
            "nn.conv2d_transpose": transposed.read,
            "matmul": products.read,
        }
    ),
    MappingProxyType(
        {"concat": movement.read_concat, "dequantize": elementwise.read_requantization}
    ),
    MappingProxyType({"quantize": tables.read}),
    MappingProxyType(
        {
            "add": elementwise.read_binary,
            "subtract": elementwise.read_binary,
            "multiply": elementwise.read_binary,
            "maximum": elementwise.read_prelu,
            "mean": reductions.read_mean,
            "nn.avg_pool2d": reductions.read_average_pool,
            "nn.max_pool2d": reductions.read_max_pool,
            "nn.softmax": reductions.read_softmax,
            "argmax": searches.read,
            "argmin": searches.read,
            "nn.pad": movement.read_pad,
            "image.resize2d": movement.read_resize,
            "take": movement.read_take,
        }
    ),
    MappingProxyType({"quantize": borders.read_quantize, "dequantize": borders.read_dequantize}),
)
"""Readers by operator, in the order in which kernels may claim the graph."""


def claimable(graph: Graph) -> Iterator[QuantizedOperator]:
    """Yield the operators that can be read, in the order of ``READERS``.

    None has variables in ``graph.taken``, to which the caller adds those of each that it replaces.
    """
    for readers in READERS:
        for var, _ in graph.bindings:
            reader = readers.get(graph.calls(var))
            operator = reader(graph, var) if reader and var not in graph.taken else None
            if operator is not None and not graph.taken.intersection(operator.variables):
                yield operator
