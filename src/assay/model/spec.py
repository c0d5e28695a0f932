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
class Argument:
    """The name that a signature, which has the key ``signature``, gives to an input or output."""

    signature: str
    name: str


@dataclass(frozen=True)
class TensorSpec:
    """A tensor as the model declares it. ``dtype`` is a NumPy name; a dynamic dimension is -1.

    ``arguments`` are further names, of signatures, if it is an input or output of the model.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None = None
    arguments: tuple[Argument, ...] = ()

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> TensorSpec:
        """Return the spec that ``dataclasses.asdict`` and JSON made ``fields`` of."""
        found = fields["quantization"]
        if found is not None:
            found = Quantization(tuple(found["scale"]), tuple(found["zero_point"]), found["axis"])
        arguments = tuple(Argument(**each) for each in fields.get("arguments", ()))
        return cls(fields["name"], tuple(fields["shape"]), fields["dtype"], found, arguments)

    def __str__(self) -> str:
        dims = "x".join(str(d) for d in self.shape) or "scalar"
        return f"{self.name} {self.dtype}[{dims}]"
