"""Operators that pick out parts of a tensor: slices, and elements by index."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tvm import relax

from assay.compiler.frontend.exprs import Expr, constant
from assay.compiler.frontend.site import Convert, Site
from assay.compiler.frontend.slices import Item, box, dimensions, strides_index


def slice_(site: Site) -> Expr:
    """SLICE from a known position with a known size."""
    return _sliced(site, box(site.ints(1), site.ints(2)))


def strided_slice(site: Site) -> Expr:
    """STRIDED_SLICE with known bounds, and all of its masks."""
    begin, end, strides = (site.value(position) for position in (1, 2, 3))
    return _sliced(site, strides_index(site.attributes, begin, end, strides))


def _sliced(site: Site, index: Sequence[Item]) -> Expr:
    shape = site.shape(0)
    ranges = dimensions(index, shape)
    begin = [first for first, _, _ in ranges]
    # Where element 0 is the last of a descending slice, the end is one before it; -1 itself would
    # count from the back.
    end = [
        last if last >= 0 else -size - 1 for (_, last, _), size in zip(ranges, shape, strict=True)
    ]
    strides = [step for _, _, step in ranges]
    taken = relax.op.strided_slice(site.expr(0), list(range(len(shape))), begin, end, strides)
    result = np.broadcast_to(0, shape)[tuple(index)].shape
    return taken if len(result) == len(shape) else relax.op.reshape(taken, result)


def gather(site: Site) -> Expr:
    """GATHER slices along an axis; with batch dimensions, each from its own part."""
    shape = site.shape(0)
    axis = site.attributes["axis"] % len(shape)
    batch = site.attributes["batch_dims"] % max(len(site.shape(1)), 1)
    indices = _indices(site, 1, shape[axis])
    if batch == 0:
        return relax.op.take(site.expr(0), indices, axis)
    if axis != batch:
        raise ValueError(f"its axis {axis} is not its number of batch dimensions {batch}")
    return relax.op.gather_nd(site.expr(0), relax.op.expand_dims(indices, -1), batch)


def gather_nd(site: Site) -> Expr:
    """GATHER_ND slices by coordinates, which lie along the last dimension of the indices."""
    depth = site.shape(1)[-1]
    return relax.op.gather_nd(site.expr(0), _indices(site, 1, site.shape(0)[:depth]))


def embedding_lookup(site: Site) -> Expr:
    """EMBEDDING_LOOKUP of rows of a table, which may be quantized while the output is not."""
    rows = _indices(site, 0, site.shape(1)[0])
    table = site.expr(1) if site.tensor(1).dtype == site.output().dtype else site.real(1)
    return relax.op.take(table, rows, 0)


def _indices(site: Site, position: int, size: int | tuple[int, ...]) -> Expr:
    """Return indices below ``size`` as int64; generated code does not check them any more.

    ValueError if known ones lie outside. LiteRT stops at others that do; here they are clamped.
    """
    known = site.known(position)
    if known is None:
        last = constant(np.asarray(size, np.int64) - np.int64(1))
        indices = relax.op.astype(site.expr(position), "int64")
        return relax.op.minimum(relax.op.maximum(indices, constant(np.int64(0))), last)
    if (known < 0).any() or (known >= np.asarray(size)).any():
        raise ValueError(f"it reads beyond the dimensions {size} of its operand")
    return constant(known.astype(np.int64))


def scatter_nd(site: Site) -> Expr:
    """SCATTER_ND into zeros; what goes to the same place is added up."""
    shape = site.ints(2)
    depth = site.shape(0)[-1]
    zeros = relax.op.zeros(shape, site.tensor(1).dtype)
    return relax.op.scatter_nd(zeros, _indices(site, 0, tuple(shape[:depth])), site.expr(1), "add")


CONVERTERS: dict[str, Convert] = {
    "EMBEDDING_LOOKUP": embedding_lookup,
    "GATHER": gather,
    "GATHER_ND": gather_nd,
    "SCATTER_ND": scatter_nd,
    "SLICE": slice_,
    "STRIDED_SLICE": strided_slice,
}
