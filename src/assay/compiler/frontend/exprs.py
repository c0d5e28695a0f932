"""Relax expressions of TFLite's tensors: constants, quantization, and whether a type is right."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import relax

from assay.compiler import tvm_api
from assay.compiler.frontend.known import is_quantized
from assay.model.facts import Tensor

Expr = Any


def constant(value: Any) -> Expr:
    """Return an array or a NumPy scalar as an expression, in its own type.

    TVM's default for integers is int32, whatever the array says.
    """
    array = np.asarray(value)
    return relax.const(array, str(array.dtype))


def parameters(tensor: Tensor) -> dict[str, Any]:
    """Return scale, zero point and axis; constants are scalars unless they differ along it."""
    assert tensor.quantization is not None
    scale = np.asarray(tensor.quantization.scale, np.float32)
    zero_point = np.asarray(tensor.quantization.zero_point, np.int32)
    one = (zero_point == zero_point[0]).all()
    return {
        "scale": constant(scale if scale.size > 1 else scale[0]),
        "zero_point": constant(zero_point[0] if one else zero_point),
        "axis": tensor.quantization.axis or 0,
    }


def dequantized(expr: Expr, tensor: Tensor) -> Expr:
    """Return a quantized tensor, or a bias, in real numbers."""
    found = parameters(tensor)
    if tensor.dtype == "int64":  # the bias beside int16, which TVM's dequantize does not take
        return relax.op.multiply(relax.op.astype(expr, "float32"), found["scale"])
    return relax.op.dequantize(expr, **found)


def quantized(expr: Expr, tensor: Tensor) -> Expr:
    """Return a real expression in the type of a tensor: quantized if that is."""
    if not is_quantized(tensor):
        return expr
    return relax.op.quantize(expr, **parameters(tensor), out_dtype=tensor.dtype)


def raw_limits(tensor: Tensor, low: float, high: float) -> tuple[float, float]:
    """Return limits in real numbers as raw integers of a quantized tensor, halves away from 0."""
    assert tensor.quantization is not None
    scale, zero_point = tensor.quantization.scale[0], tensor.quantization.zero_point[0]
    steps = np.array([low, high], np.float32) / np.float32(scale)
    raw = np.trunc(steps + np.copysign(np.float32(0.5), steps)) + zero_point
    limits = np.iinfo(tensor.dtype)
    return max(float(limits.min), float(raw[0])), min(float(limits.max), float(raw[1]))


def check_type(tensor: Tensor, expr: Expr, custom: bool, batch: int) -> None:
    """Raise ValueError unless an expression has the type of the tensor that it stands for.

    Converters leave the shapes of ``custom`` operators empty, so that they say nothing. Where only
    the inputs of a file leave the batch open, the others say 1 for ``batch``.
    """
    try:
        shape = tvm_api.static_shape(expr)
    except TypeError as error:
        raise ValueError("the shape of its output depends on values") from error
    if str(expr.ty.dtype) != tensor.dtype:
        raise ValueError(f"it gives {expr.ty.dtype} where the file says {tensor.dtype}")
    if custom and not tensor.shape:
        return
    said = tensor.shape
    if said[:1] == (1,) and shape[:1] == (batch,):
        said = (batch, *said[1:])
    if len(shape) != len(said) or any(
        size != size_said and size_said != -1 for size, size_said in zip(shape, said, strict=True)
    ):
        raise ValueError(f"it gives shape {list(shape)} where the file says {list(tensor.shape)}")
