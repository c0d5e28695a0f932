"""Real values to the raw tensors that a model takes, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from assay.errors import InputError
from assay.model.spec import Quantization, TensorSpec

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]


def encode(spec: TensorSpec, real: npt.ArrayLike) -> Array:
    """Turn real values into an array of the tensor's dtype, same shape.

    A quantized tensor gets ``round(real / scale) + zero_point``, clamped to the dtype's range. As
    in TFLite's QUANTIZE (``AffineQuantize``) the division is one of float32 numbers and halves
    round away from zero. Infinities and whatever lies outside the range become its nearest end, NaN
    becomes the zero point, which stands for 0.

    Other tensors take the values as they are: floats are rounded to the dtype, integers and
    booleans have to be representable, else InputError.
    """
    values = np.asarray(real)
    dtype = _dtype(spec)
    if spec.quantization is not None:
        return _quantize(spec, values.astype(np.float32), spec.quantization, dtype)
    if dtype.kind == "f":
        with np.errstate(over="ignore"):  # beyond float16 is infinity, like in TFLite's CAST
            return values.astype(dtype)
    return _exact(spec, values, dtype)


def decode(spec: TensorSpec, raw: Array) -> npt.NDArray[np.float32]:
    """Turn an array of the tensor's dtype into real values, float32, same shape.

    A quantized tensor gives ``scale * (raw - zero_point)``, correctly rounded, as TFLite's
    DEQUANTIZE does; others are cast.
    """
    _dtype(spec)
    if spec.quantization is None:
        return raw.astype(np.float32)
    scale, zero_point = _parameters(spec, raw, spec.quantization)
    return np.asarray(scale.astype(np.float64) * (raw.astype(np.int64) - zero_point), np.float32)


def _quantize(
    spec: TensorSpec, values: npt.NDArray[np.float32], q: Quantization, dtype: np.dtype[Any]
) -> Array:
    scale, zero_point = _parameters(spec, values, q)
    limits = np.iinfo(dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        steps = (values / scale).astype(np.float64)
    # In float64 adding a half is exact, so that 0.49999997 does not become 1.
    rounded = np.copysign(np.floor(np.abs(steps) + 0.5), steps)
    real_or_zero = np.where(np.isnan(rounded), 0.0, rounded)
    return np.asarray(np.clip(real_or_zero + zero_point, limits.min, limits.max), dtype)


def _parameters(
    spec: TensorSpec, values: Array, q: Quantization
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    scale, zero_point = np.asarray(q.scale, np.float32), np.asarray(q.zero_point, np.int64)
    if q.axis is None:
        return scale.reshape(()), zero_point.reshape(())
    axis, count = q.axis, len(q.scale)
    if not axis < values.ndim or values.shape[axis] != count:
        raise InputError(
            f"tensor {spec.name!r} has {count} scales along axis {axis}, "
            f"which does not fit values of shape {list(values.shape)}"
        )
    along = [count if d == axis else 1 for d in range(values.ndim)]
    return scale.reshape(along), zero_point.reshape(along)


def _exact(spec: TensorSpec, values: Array, dtype: np.dtype[Any]) -> Array:
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    # high + 1 is a power of two and thus exact as a float, unlike the largest int64.
    fits = (values >= int(low)) & (values < int(high) + 1) & (values == np.floor(values))
    if not np.all(fits):
        worst = values[~fits].flat[0]
        raise InputError(f"tensor {spec.name!r} is {spec.dtype}, which cannot hold {worst}")
    return values.astype(dtype)


def _dtype(spec: TensorSpec) -> np.dtype[Any]:
    try:
        dtype = np.dtype(spec.dtype)
    except TypeError:
        dtype = np.dtype(object)
    if dtype.kind not in "biuf":
        raise InputError(f"tensor {spec.name!r} is {spec.dtype}, which holds no real numbers")
    return dtype
