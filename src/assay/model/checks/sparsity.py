"""Whether the description of a sparse tensor fits its shape."""

from __future__ import annotations

import tflite

from assay.model.access import ints
from assay.model.damage import Damage


def check_sparsity(sparsity: tflite.SparsityParameters, name: str, shape: tuple[int, ...]) -> None:
    """Raise Damage unless each dimension and each block dimension is described exactly once."""
    order = ints(sparsity.TraversalOrderAsNumpy())
    blocks = ints(sparsity.BlockMapAsNumpy())
    levels = len(shape) + len(blocks)
    if sorted(order) != list(range(levels)) or sparsity.DimMetadataLength() != levels:
        raise Damage(f"{name} is sparse, and not every dimension is described once")
    if not all(0 <= block < len(shape) for block in blocks):
        raise Damage(f"{name} is sparse, in blocks of a dimension that it does not have")
    for level in range(levels):
        dimension = sparsity.DimMetadata(level)
        if dimension.Format() == tflite.DimensionType.DENSE:
            if dimension.DenseSize() <= 0:
                raise Damage(f"{name} is sparse, with a dimension of size {dimension.DenseSize()}")
        elif dimension.ArraySegments() is None or dimension.ArrayIndices() is None:
            raise Damage(f"{name} is sparse, and the indices of a dimension are missing")
