"""Whether the description of a sparse tensor fits its shape."""

from __future__ import annotations

from assay.model.damage import Damage
from assay.model.tables import Table

_DENSE = 0  # enum DimensionType


def check_sparsity(sparsity: Table, name: str, shape: tuple[int, ...]) -> None:
    """Raise Damage unless each dimension and each block dimension is described exactly once."""
    order, blocks = sparsity.traversal_order, sparsity.block_map
    levels = len(shape) + len(blocks)
    if sorted(order) != list(range(levels)) or len(sparsity.dim_metadata) != levels:
        raise Damage(f"{name} is sparse, and not every dimension is described once")
    if not all(0 <= block < len(shape) for block in blocks):
        raise Damage(f"{name} is sparse, in blocks of a dimension that it does not have")
    for dimension in sparsity.dim_metadata:
        if dimension.format == _DENSE:
            if dimension.dense_size <= 0:
                raise Damage(f"{name} is sparse, with a dimension of size {dimension.dense_size}")
        elif dimension.array_segments is None or dimension.array_indices is None:
            raise Damage(f"{name} is sparse, and the indices of a dimension are missing")
