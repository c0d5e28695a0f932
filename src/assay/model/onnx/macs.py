"""Multiply-accumulate operations of ONNX operators, by the shapes of their tensors.

Sums over the window count in full, padding included. Filters lie as ONNX keeps them: Conv
[out, in / groups, ...window], ConvTranspose [in, out / groups, ...window].
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from assay.model.facts import Tensor

PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "MatMulInteger", "ConvInteger")


def count_macs(
    name: str,
    inputs: Sequence[int],
    outputs: Sequence[int],
    attributes: Mapping[str, Any],
    tensors: Sequence[Tensor],
) -> int:
    """Return the multiply-accumulates of one run; 0 for operators that are not of that kind."""
    if name not in PRODUCTS:
        return 0
    left, right = (tensors[index].static_shape for index in inputs[:2])
    made = tensors[outputs[0]].static_shape
    if name in ("Conv", "ConvInteger"):
        return math.prod(made) * math.prod(right[1:])
    if name == "ConvTranspose":
        return math.prod(left) * math.prod(right[1:])
    if name == "Gemm":
        return math.prod(made) * (left[0] if attributes.get("transA") else left[-1])
    return math.prod(made) * left[-1] if left else 0
