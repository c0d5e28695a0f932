"""Whether quantization parameters make sense for the tensor that carries them."""

from __future__ import annotations

from assay.model.damage import Damage
from assay.model.dtypes import FLOAT_DTYPES
from assay.model.tables import Table

# Zero points are values of the quantized type; wider types and biases have zero point 0.
_RANGES = {
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int4": (-8, 7),
    "uint4": (0, 15),
    "int2": (-2, 1),
    "int16": (-32768, 32767),
}

# No network comes near them; single-precision arithmetic with scales beyond them overflows.
_MIN_SCALE, _MAX_SCALE = 1e-30, 1e30


def check_quantization(tensor: Table, name: str, shape: tuple[int, ...], dtype: str) -> None:
    """Raise Damage unless scales are positive and as many as tensor and zero points demand.

    Rules: TFLite 8-bit quantization specification. On floating-point tensors, where some converters
    leave the calibrated range behind, the parameters mean nothing and are not looked at.
    """
    table = tensor.quantization
    if table is None or len(table.scale) == 0 or dtype in FLOAT_DTYPES:
        return
    scales = tuple(table.scale)
    zero_points = tuple(table.zero_point)
    if not all(_MIN_SCALE < scale < _MAX_SCALE for scale in scales):  # no NaN, either
        raise Damage(f"{name} has a quantization scale that is not a sensible positive number")
    if len(zero_points) != len(scales):
        raise Damage(f"{name} has {len(scales)} scales, but {len(zero_points)} zero points")
    low, high = _RANGES.get(dtype, (0, 0))
    if not all(low <= zero_point <= high for zero_point in zero_points):
        raise Damage(f"{name} has a zero point that {dtype} cannot hold")
    axis = table.quantized_dimension
    if len(scales) > 1 and not 0 <= axis < len(shape):
        raise Damage(f"{name} is quantized along dimension {axis} of {len(shape)}")
    if len(scales) > 1 and shape[axis] != len(scales):
        raise Damage(
            f"{name} has {len(scales)} scales for the {shape[axis]} indices of dimension {axis}"
        )
