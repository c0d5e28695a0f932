"""Operators that only move values: on quantized tensors they move the raw integers.

Axes that count from the back are made to count from the front: TVM's layout conversion takes them
for granted in some operators and fails on others.
"""

from __future__ import annotations

from math import prod

import tflite
from tvm import relax

from assay.compiler.frontend.exprs import Expr
from assay.compiler.frontend.known import is_quantized
from assay.compiler.frontend.site import Convert, Site


def reshape(site: Site) -> Expr:
    """RESHAPE; one size of the new shape may be -1."""
    target = site.ints(1) if site.has(1) else list(site.attributes["new_shape"])
    given, elements = site.shape(0), prod(site.shape(0))
    if -1 in target:
        rest = prod(size for size in target if size != -1)
        target[target.index(-1)] = elements // rest if rest else 0
    if prod(target) != elements:
        raise ValueError(f"its new shape {target} does not hold the elements of {list(given)}")
    return relax.op.reshape(site.expr(0), target)


def squeeze(site: Site) -> Expr:
    """SQUEEZE of the given dimensions, or of all that have size 1."""
    shape = site.shape(0)
    axes = [axis % len(shape) for axis in site.attributes.get("squeeze_dims", ())]
    return relax.op.squeeze(site.expr(0), axes or [d for d, size in enumerate(shape) if size == 1])


def expand_dims(site: Site) -> Expr:
    """EXPAND_DIMS by one dimension."""
    return relax.op.expand_dims(site.expr(0), site.ints(1)[0] % (len(site.shape(0)) + 1))


def transpose(site: Site) -> Expr:
    """TRANSPOSE by a known permutation."""
    rank = len(site.shape(0))
    return relax.op.permute_dims(site.expr(0), [axis % rank for axis in site.ints(1)])


def concatenation(site: Site) -> Expr:
    """CONCATENATION; parts whose scale or zero point is not the output's are requantized first."""
    parts = []
    for position in range(len(site.operator.inputs)):
        tensor, output = site.tensor(position), site.output()
        same = not is_quantized(output) or tensor.quantization == output.quantization
        parts.append(site.expr(position) if same else site.quantized(site.real(position)))
    axis = site.attributes["axis"] % len(site.shape(0))
    return site.activated(relax.op.concat(parts, axis))


def pack(site: Site) -> Expr:
    """PACK along a new dimension."""
    axis = site.attributes["axis"] % (len(site.shape(0)) + 1)
    parts = [relax.op.expand_dims(expr, axis) for expr in site.exprs()]
    return relax.op.concat(parts, axis)


def unpack(site: Site) -> list[Expr]:
    """UNPACK along a dimension, which goes away."""
    axis = site.attributes["axis"] % len(site.shape(0))
    parts = _split(site.expr(0), len(site.operator.outputs), axis)
    return [relax.op.squeeze(part, axis) for part in parts]


def split(site: Site) -> list[Expr]:
    """SPLIT into equal parts."""
    axis = site.ints(0)[0] % len(site.shape(1))
    return _split(site.expr(1), len(site.operator.outputs), axis)


def split_v(site: Site) -> list[Expr]:
    """SPLIT_V into parts of given sizes, one of which may be -1."""
    sizes, axis = site.ints(1), site.ints(2)[0] % len(site.shape(0))
    if -1 in sizes:
        sizes[sizes.index(-1)] = site.shape(0)[axis] - sum(sizes) - 1
    ends = [sum(sizes[:count]) for count in range(1, len(sizes))]
    return _split(site.expr(0), ends, axis) if ends else [site.expr(0)]


def tile(site: Site) -> Expr:
    """TILE; repeats the tensor along each dimension."""
    return relax.op.tile(site.expr(0), site.ints(1))


def reverse(site: Site) -> Expr:
    """REVERSE_V2 along one or more dimensions."""
    expr = site.expr(0)
    for axis in site.ints(1):
        expr = relax.op.flip(expr, axis % len(site.shape(0)))
    return expr


def reverse_sequence(site: Site) -> Expr:
    """REVERSE_SEQUENCE: the first elements of each item of the batch, as many as are given."""
    options = site.options(tflite.ReverseSequenceOptions)
    data, lengths = site.expr(0), site.expr(1)
    return relax.op.reverse_sequence(data, lengths, options.SeqDim(), options.BatchDim())


def broadcast_to(site: Site) -> Expr:
    """BROADCAST_TO a known shape."""
    return relax.op.broadcast_to(site.expr(0), site.ints(1))


def _split(expr: Expr, parts: int | list[int], axis: int) -> list[Expr]:
    """Return slices along an axis: so many equal ones, or those that end before given places."""
    size = int(expr.ty.shape[axis])
    ends = parts if isinstance(parts, list) else range(size // parts, size, size // parts)
    bounds = zip((0, *ends), (*ends, size), strict=True)
    return [relax.op.strided_slice(expr, [axis], [begin], [end]) for begin, end in bounds]


CONVERTERS: dict[str, Convert] = {
    "BROADCAST_TO": broadcast_to,
    "CONCATENATION": concatenation,
    "EXPAND_DIMS": expand_dims,
    "PACK": pack,
    "RESHAPE": reshape,
    "REVERSE_SEQUENCE": reverse_sequence,
    "REVERSE_V2": reverse,
    "SPLIT": split,
    "SPLIT_V": split_v,
    "SQUEEZE": squeeze,
    "TILE": tile,
    "TRANSPOSE": transpose,
    "UNPACK": unpack,
}
