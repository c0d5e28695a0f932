"""Operators that TVM's importer lacks, or spells in a way that no kernel takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from tvm import relax

from assay.compiler import tvm_api

Convert = Callable[[Sequence[Any], Mapping[str, Any]], Any]
"""From operands (None where one is left out) and attributes to an expression or a tuple."""


def _batch_norm(inputs: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    """Return ``x * s + t`` in each channel, which joins the kernels around it in any layout."""
    if attributes.get("training_mode"):
        raise ValueError("it is in training mode")
    x, *given = inputs
    gamma, beta, mean, variance = (each.value.numpy().astype(np.float64) for each in given)
    scale = gamma / np.sqrt(variance + attributes.get("epsilon", 1e-5))
    along = (-1, *[1] * (len(x.ty.shape) - 2))
    factor, term = (
        relax.const(value.reshape(along).astype(str(x.ty.dtype)))
        for value in (scale, beta - mean * scale)
    )
    return relax.op.add(relax.op.multiply(x, factor), term)


def _clip(inputs: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    """Limit to constants; the importer's form of it is a kernel of its own that nothing joins."""
    x = inputs[0]
    bounds = [*inputs[1:3], None, None][:2]
    limits = [None if each is None else tvm_api.scalar(each) for each in bounds]
    low, high = (
        given if given is not None else default
        for given, default in zip(limits, _range(str(x.ty.dtype)), strict=True)
    )
    if (low, high) == (0, float("inf")):
        return relax.op.nn.relu(x)
    return relax.op.clip(x, low, high)


def _range(dtype: str) -> tuple[float, float]:
    if dtype.startswith(("float", "bfloat")):
        return -float("inf"), float("inf")
    return float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)


def _equal(inputs: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    """Compare; TVM 0.27 compares booleans as floating-point numbers, which LLVM refuses."""
    first, second = inputs
    if str(first.ty.dtype) == "bool":
        first, second = (relax.op.astype(each, "int8") for each in (first, second))
    return relax.op.equal(first, second)


def _hard_swish(inputs: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    x = inputs[0]
    three, six = relax.const(3.0, x.ty.dtype), relax.const(6.0, x.ty.dtype)
    limited = relax.op.clip(relax.op.add(x, three), 0.0, 6.0)
    return relax.op.divide(relax.op.multiply(x, limited), six)


def _one_hot(inputs: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    """Compare with all classes; the importer's form of it writes beside its result."""
    indices, depth, values = inputs
    dtype, count = str(indices.ty.dtype), int(depth.value.numpy().item())
    off, on = values.value.numpy()
    rank = len(indices.ty.shape) + 1
    axis = attributes.get("axis", -1) % rank
    shape = [count if at == axis else 1 for at in range(rank)]
    classes = np.arange(count).astype(dtype).reshape(shape)
    negative = relax.op.less(indices, relax.const(0, dtype))
    wrapped = relax.op.add(indices, relax.const(count, dtype))
    found = relax.op.expand_dims(relax.op.where(negative, wrapped, indices), axis)
    hit = relax.op.equal(found, relax.const(classes, dtype))
    return relax.op.where(hit, relax.const(on), relax.const(off))


CONVERTERS: Mapping[str, Convert] = {
    "BatchNormalization": _batch_norm,
    "Clip": _clip,
    "Equal": _equal,
    "HardSwish": _hard_swish,
    "OneHot": _one_hot,
}
