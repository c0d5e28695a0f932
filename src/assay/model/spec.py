"""The facts of a tensor at the border of a model: name, shape, dtype, quantization."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Quantization:
    """Affine quantization, ``real = scale * (q - zero_point)`` (TFLite quantization specification).

    ``scale`` and ``zero_point`` hold one entry (per-tensor, ``axis`` is None) or one entry for each
    index of dimension ``axis`` (per-axis).
    """

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int | None = None

    @property
    def per_axis(self) -> bool:
        """Whether each index along ``axis`` has a scale of its own."""
        return self.axis is not None


@dataclass(frozen=True)
class TensorSpec:
    """A tensor as the model declares it. ``dtype`` is a NumPy name; a dynamic dimension is -1."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None = None

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> TensorSpec:
        """Return the spec that ``dataclasses.asdict`` and JSON made ``fields`` of."""
        found = fields["quantization"]
        if found is not None:
            found = Quantization(tuple(found["scale"]), tuple(found["zero_point"]), found["axis"])
        return cls(fields["name"], tuple(fields["shape"]), fields["dtype"], found)

    def __str__(self) -> str:
        dims = "x".join(str(d) for d in self.shape) or "scalar"
        return f"{self.name} {self.dtype}[{dims}]"
