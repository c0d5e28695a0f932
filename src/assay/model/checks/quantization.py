"""Whether quantization parameters make sense for the tensor that carries them."""

from __future__ import annotations

import math

import tflite

from assay.model.access import ints
from assay.model.damage import Damage
from assay.model.dtypes import DTYPES, FLOAT_DTYPES

# Zero points are values of the quantized type; wider types and biases have zero point 0.
_RANGES = {
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int4": (-8, 7),
    "uint4": (0, 15),
    "int2": (-2, 1),
    "int16": (-32768, 32767),
}


def check_quantization(
    tensor: tflite.Tensor, name: str, shape: tuple[int, ...], dtype: str
) -> None:
    """Raise Damage unless scales are positive and as many as tensor and zero points demand.

    Rules: TFLite 8-bit quantization specification. On floating-point tensors, where some converters
    leave the calibrated range behind, the parameters mean nothing and are not looked at.
    """
    table = tensor.Quantization()
    if table is None or table.ScaleLength() == 0 or dtype in FLOAT_DTYPES:
        return
    scales = table.ScaleAsNumpy().tolist()
    zero_points = ints(table.ZeroPointAsNumpy())
    if not all(math.isfinite(scale) and scale > 0 for scale in scales):
        raise Damage(f"{name} has a quantization scale that is not a positive number")
    if len(zero_points) != len(scales):
        raise Damage(f"{name} has {len(scales)} scales, but {len(zero_points)} zero points")
    low, high = _RANGES.get(dtype, (0, 0))
    if not all(low <= zero_point <= high for zero_point in zero_points):
        raise Damage(f"{name} has a zero point that {dtype} cannot hold")
    axis = table.QuantizedDimension()
    if len(scales) > 1 and not 0 <= axis < len(shape):
        raise Damage(f"{name} is quantized along dimension {axis} of {len(shape)}")
    if len(scales) > 1 and shape[axis] != len(scales):
        raise Damage(
            f"{name} has {len(scales)} scales for the {shape[axis]} indices of dimension {axis}"
        )


# Operators that compute with integers as quantized values. Others move them, or compute with them
# as they are, and need no parameters.
# fmt: off
_ARITHMETIC = frozenset({
    "ABS", "ADD", "AVERAGE_POOL_2D", "BATCH_MATMUL", "CONV_2D", "CONV_3D", "DEPTHWISE_CONV_2D",
    "DEQUANTIZE", "DIV", "ELU", "EXP", "FULLY_CONNECTED", "GELU", "HARD_SWISH", "L2_NORMALIZATION",
    "LEAKY_RELU", "LOG_SOFTMAX", "LOGISTIC", "MEAN", "MUL", "PRELU", "QUANTIZE", "RELU", "RELU6",
    "RELU_0_TO_1", "RELU_N1_TO_1", "RSQRT", "SOFTMAX", "SQUARED_DIFFERENCE", "SUB", "SUM", "TANH",
    "TRANSPOSE_CONV",
})
# fmt: on


def check_quantized(
    name: str, operator: tflite.Operator, graph: tflite.SubGraph, label: str
) -> None:
    """Raise Damage if an operator computes with 8-bit integers of unknown scale."""
    if name not in _ARITHMETIC:
        return
    for index in (*ints(operator.InputsAsNumpy()), *ints(operator.OutputsAsNumpy())):
        if index < 0:
            continue
        tensor = graph.Tensors(index)
        table = tensor.Quantization()
        if DTYPES[tensor.Type()] in ("int8", "uint8") and (
            table is None or not table.ScaleLength()
        ):
            raise Damage(f"{label} computes with tensor {index}, which lacks its scale")
