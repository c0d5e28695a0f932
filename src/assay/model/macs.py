"""Multiply-accumulate operations and learned values of single operators.

Sums over the window count in full, padding included, which is how papers and converters count.
Filters lie as TFLite keeps them: CONV_2D and TRANSPOSE_CONV [out, h, w, in], DEPTHWISE_CONV_2D
[1, h, w, out], FULLY_CONNECTED [out, in], CONV_3D [d, h, w, in, out].
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from assay.model.dtypes import FLOAT_DTYPES
from assay.model.facts import Tensor

# Operators that multiply and accumulate, with the positions of the activation and of the filter.
FILTER_OPERATORS: dict[str, tuple[int, int]] = {
    "CONV_2D": (0, 1),
    "DEPTHWISE_CONV_2D": (0, 1),
    "FULLY_CONNECTED": (0, 1),
    "BATCH_MATMUL": (0, 1),
    "CONV_3D": (0, 1),
    "TRANSPOSE_CONV": (2, 1),
    "CONV_3D_TRANSPOSE": (2, 1),
}

_UNPACKING = ("DEQUANTIZE", "DENSIFY")


def count_macs(
    name: str,
    inputs: Sequence[int],
    outputs: Sequence[int],
    attributes: Mapping[str, Any],
    tensors: Sequence[Tensor],
) -> int:
    """Return the multiply-accumulates of one run; 0 for operators that are not of that kind.

    Shapes are the static ones, so a dynamic batch counts as 1. Recurrent cells are not counted.
    """
    if name not in FILTER_OPERATORS:
        return 0
    activation, kernel = filter_operands(name, inputs, tensors)
    outgoing = tensors[outputs[0]].elements
    if name == "CONV_2D":  # a grouped filter's depth is that of one group
        return outgoing * math.prod(kernel.static_shape[1:])
    if name == "DEPTHWISE_CONV_2D":
        return outgoing * math.prod(kernel.static_shape[1:3])
    if name == "FULLY_CONNECTED":
        return outgoing * math.prod(kernel.static_shape[-1:])
    if name == "BATCH_MATMUL":
        depth = (
            activation.static_shape[-2:-1]
            if attributes.get("adj_x")
            else activation.static_shape[-1:]
        )
        return outgoing * math.prod(depth)
    if name == "CONV_3D":
        return outgoing * math.prod(kernel.static_shape[:4])
    if name == "TRANSPOSE_CONV":  # every input value meets each tap of each output channel
        return activation.elements * math.prod(kernel.static_shape[:3])
    return activation.elements * math.prod(
        kernel.static_shape[:4]
    )  # CONV_3D_TRANSPOSE: [d, h, w, out, in]


def filter_operands(
    name: str, inputs: Sequence[int], tensors: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """Return the activation and the filter of one of FILTER_OPERATORS."""
    activation, kernel = FILTER_OPERATORS[name]
    return tensors[inputs[activation]], tensors[inputs[kernel]]


def stored_constants(
    operators: Sequence[tuple[str, Sequence[int], Sequence[int]]], tensors: Sequence[Tensor]
) -> dict[int, int]:
    """Map tensors whose value the file holds to the constant with that value.

    A constant maps to itself; what DEQUANTIZE or DENSIFY makes of a constant maps to that constant.
    ``operators`` are (name, inputs, outputs) in execution order.
    """
    source = {tensor.index: tensor.index for tensor in tensors if tensor.is_constant}
    for name, inputs, outputs in operators:
        if name in _UNPACKING and inputs and outputs and inputs[0] in source:
            source[outputs[0]] = source[inputs[0]]
    return source


def weights_of(
    name: str, inputs: Sequence[int], tensors: Sequence[Tensor], source: Mapping[int, int]
) -> tuple[int, ...]:
    """Return the constants among an operator's inputs that hold learned values.

    Those are floating-point or quantized constants and any bias; shapes, axes, paddings and
    indices are not learned. Unpacked weights belong to the operator that uses them.
    """
    if name in _UNPACKING:
        return ()
    learned = []
    for position, index in enumerate(inputs):
        if index not in source:
            continue
        stored = tensors[source[index]]
        is_bias = name in FILTER_OPERATORS and position > 1
        if stored.dtype in FLOAT_DTYPES or stored.quantization is not None or is_bias:
            learned.append(stored.index)
    return tuple(learned)
