"""TFLite's tensor types as NumPy names, and how many bits one element takes in a file."""

from __future__ import annotations

# enum TensorType of the TFLite schema, in order. NumPy itself lacks bfloat16, the narrow integers
# and the 8-bit floats (ml_dtypes has them under these names) and the last two kinds of handle.
_TYPES: tuple[tuple[str, int | None], ...] = (
    ("float32", 32),
    ("float16", 16),
    ("int32", 32),
    ("uint8", 8),
    ("int64", 64),
    ("string", None),
    ("bool", 8),
    ("int16", 16),
    ("complex64", 64),
    ("int8", 8),
    ("float64", 64),
    ("complex128", 128),
    ("uint64", 64),
    ("resource", None),
    ("variant", None),
    ("uint32", 32),
    ("uint16", 16),
    ("int4", 4),
    ("bfloat16", 16),
    ("int2", 2),
    ("uint4", 4),
    ("float8_e4m3fn", 8),
    ("float8_e5m2", 8),
)

DTYPES: tuple[str, ...] = tuple(name for name, _ in _TYPES)
"""NumPy names; the position is the number that a file stores."""

_BITS = dict(_TYPES)

FLOAT_DTYPES = frozenset(name for name in DTYPES if name.startswith(("float", "bfloat")))


def dense_bytes(dtype: str, elements: int) -> int | None:
    """Return how many bytes that many elements take, or None where a file fixes no element size.

    Elements narrower than a byte are packed, and the last byte is filled up.
    """
    bits = _BITS[dtype]
    return None if bits is None else (elements * bits + 7) // 8
