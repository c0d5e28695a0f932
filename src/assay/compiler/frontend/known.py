"""Which tensors of a graph are known when it is compiled. No TVM here."""

from __future__ import annotations

from assay.compiler.frontend.folding import SHAPE_ONLY, foldable
from assay.model.facts import Model, Tensor

_QUANTIZED = frozenset({"int8", "uint8", "int16", "int4"})


def is_quantized(tensor: Tensor) -> bool:
    """Whether a tensor holds quantized values: a small integer type that carries a scale."""
    return tensor.quantization is not None and tensor.dtype in _QUANTIZED


def known_tensors(model: Model) -> frozenset[int]:
    """Return the tensors whose value depends on constants and shapes only.

    Shapes are static, so SHAPE and RANK are known whatever they are taken of; other operators are
    if all that they read is known and not quantized.
    """
    known = {tensor.index for tensor in model.tensors if tensor.is_constant}
    for operator in model.operators:
        if operator.name in SHAPE_ONLY or (
            foldable(operator)
            and all(
                index in known and not is_quantized(model.tensors[index])
                for index in operator.inputs
            )
        ):
            known.update(operator.outputs)
    return frozenset(known)
