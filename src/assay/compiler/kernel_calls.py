"""What a build's kernels compute of the model: facts that are saved with the library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Layer:
    """An operator of the model file. ``name`` is its first output tensor's, ``shape`` that one's.

    ``macs`` counts multiply-accumulates of one inference.
    """

    operator: int
    op: str
    name: str
    shape: tuple[int, ...]
    macs: int


@dataclass(frozen=True)
class KernelCall:
    """One call of a kernel, as the library makes it.

    ``layers`` are the operators whose own work it does: each operator of the model is in one call,
    or in none if it needs no kernel (a reshape). A call without any only converts: ``serves`` are
    then the operators whose operands or results it converts, and besides those of which a call
    does a smaller part (such as the dequantization before a convolution).

    Bytes are those of all tensors, each counted once, whatever the caches keep. Of a result that
    several calls write, each in its own part, ``written_bytes`` are those of this call.

    ``uses`` are features of the CPU that a target has and few kernels use, by LLVM's names.
    """

    symbol: str
    layers: tuple[Layer, ...]
    serves: tuple[Layer, ...]
    input_shapes: tuple[tuple[int, ...], ...]
    input_dtypes: tuple[str, ...]
    output_shapes: tuple[tuple[int, ...], ...]
    output_dtypes: tuple[str, ...]
    read_bytes: int
    written_bytes: int
    uses: tuple[str, ...] = ()

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all layers."""
        return sum(layer.macs for layer in self.layers)

    @property
    def bytes_moved(self) -> int:
        """Bytes read and written."""
        return self.read_bytes + self.written_bytes

    @property
    def title(self) -> str:
        """Names of the operators it computes, or what it converts for."""
        if self.layers:
            return "+".join(layer.op for layer in self.layers)
        return f"convert for {self.serves[0].op}" if self.serves else "convert"

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> KernelCall:
        """Read what ``dataclasses.asdict`` made of one; KeyError or TypeError if it is damaged."""
        fields = dict(fields)
        for key in ("layers", "serves"):
            fields[key] = tuple(
                Layer(**{**each, "shape": tuple(each["shape"])}) for each in fields[key]
            )
        for key in ("input_shapes", "output_shapes"):
            fields[key] = tuple(tuple(shape) for shape in fields[key])
        for key in ("input_dtypes", "output_dtypes"):
            fields[key] = tuple(fields[key])
        fields["uses"] = tuple(fields.get("uses", ()))  # absent before there were matrix tiles
        return cls(**fields)


WRITTEN_BYTES = "assay.written_bytes"
"""Attribute of kernels that write a part of their result: how many bytes that is."""

TRANSPOSE = "transpose"
"""What TVM calls a transpose in the names of kernels, and assay too."""

FROM_NHWC = "nhwc"
"""Word in the names of kernels that work in NCHW, but read an image in NHWC."""


def parts_of(name: str) -> tuple[str, ...]:
    """Split the name that TVM gives a fused kernel into words.

    >>> parts_of("fused_transpose1_quantize2_tir_clip_dequantize1")
    ('transpose', 'quantize', 'clip', 'dequantize')
    """
    words = (word.rstrip("0123456789") for word in name.split("_"))
    return tuple(word for word in words if word not in ("", "fused", "tir"))
