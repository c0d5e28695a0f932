"""Operators that move blocks of space into the batch or the depth, and back.

Layout: [batch, space..., rest...]; of DEPTH_TO_SPACE and SPACE_TO_DEPTH [batch, h, w, depth].
"""

from __future__ import annotations

from tvm import relax

from assay.compiler.frontend.exprs import Expr
from assay.compiler.frontend.known import is_quantized
from assay.compiler.frontend.site import Convert, Site


def space_to_batch(site: Site) -> Expr:
    """SPACE_TO_BATCH_ND: pad, then take every block-th element into a batch of its own."""
    blocks, widths = site.ints(1), site.ints(2)
    expr, (batch, *sizes) = site.expr(0), site.shape(0)
    space, rest = sizes[: len(blocks)], sizes[len(blocks) :]
    if any(widths):
        quantization = site.tensor(0).quantization
        quantized = is_quantized(site.tensor(0)) and quantization is not None
        value = quantization.zero_point[0] if quantized and quantization else 0
        expr = relax.op.nn.pad(expr, [0, 0, *widths, *[0, 0] * len(rest)], "constant", value)
        space = [size + sum(widths[2 * d : 2 * d + 2]) for d, size in enumerate(space)]
    steps = [size // block for size, block in zip(space, blocks, strict=True)]
    pairs = [part for pair in zip(steps, blocks, strict=True) for part in pair]
    split = relax.op.reshape(expr, [batch, *pairs, *rest])
    rank = len(blocks)
    inner, outer = range(2, 2 * rank + 1, 2), range(1, 2 * rank, 2)
    order = [*inner, 0, *outer, *range(2 * rank + 1, 2 * rank + 1 + len(rest))]
    for block in blocks:
        batch *= block
    return relax.op.reshape(relax.op.permute_dims(split, order), [batch, *steps, *rest])


def batch_to_space(site: Site) -> Expr:
    """BATCH_TO_SPACE_ND: interleave parts of the batch in space, then crop."""
    blocks, crops = site.ints(1), site.ints(2)
    expr, (batch, *sizes) = site.expr(0), site.shape(0)
    rank = len(blocks)
    space, rest = sizes[:rank], sizes[rank:]
    for block in blocks:
        batch //= block
    split = relax.op.reshape(expr, [*blocks, batch, *space, *rest])
    pairs = [axis for d in range(rank) for axis in (rank + 1 + d, d)]
    order = [rank, *pairs, *range(2 * rank + 1, 2 * rank + 1 + len(rest))]
    grown = [size * block for size, block in zip(space, blocks, strict=True)]
    joined = relax.op.reshape(relax.op.permute_dims(split, order), [batch, *grown, *rest])
    if not any(crops):
        return joined
    ends = [size - crop for size, crop in zip(grown, crops[1::2], strict=True)]
    axes = list(range(1, rank + 1))
    return relax.op.strided_slice(joined, axes, crops[::2], ends, [1] * rank)


def space_to_depth(site: Site) -> Expr:
    """SPACE_TO_DEPTH by blocks of equal height and width."""
    block, (n, h, w, c) = site.attributes["block_size"], site.shape(0)
    split = relax.op.reshape(site.expr(0), [n, h // block, block, w // block, block, c])
    moved = relax.op.permute_dims(split, [0, 1, 3, 2, 4, 5])
    return relax.op.reshape(moved, [n, h // block, w // block, block * block * c])


def depth_to_space(site: Site) -> Expr:
    """DEPTH_TO_SPACE by blocks of equal height and width."""
    block, (n, h, w, c) = site.attributes["block_size"], site.shape(0)
    depth = c // (block * block)
    split = relax.op.reshape(site.expr(0), [n, h, w, block, block, depth])
    moved = relax.op.permute_dims(split, [0, 1, 3, 2, 4, 5])
    return relax.op.reshape(moved, [n, h * block, w * block, depth])


CONVERTERS: dict[str, Convert] = {
    "BATCH_TO_SPACE_ND": batch_to_space,
    "DEPTH_TO_SPACE": depth_to_space,
    "SPACE_TO_BATCH_ND": space_to_batch,
    "SPACE_TO_DEPTH": space_to_depth,
}
