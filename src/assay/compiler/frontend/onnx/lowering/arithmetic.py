"""Element-wise operators, reductions and sequences that other operators spell."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from assay.compiler.frontend.onnx.lowering.site import BOOL, DOUBLE, INT8, INT32, UINT8, Site


def _celu(site: Site) -> None:
    """max(x, 0) + min(0, alpha * (exp(x / alpha) - 1))."""
    x = site.operand(0)
    zero, one, factor = (site.like(x, value) for value in (0, 1, site.attribute("alpha", 1.0)))
    curve = site.add("Sub", site.add("Exp", site.add("Div", x, factor)), one)
    below = site.add("Min", site.add("Mul", curve, factor), zero)
    site.add("Add", site.add("Max", x, zero), below, into=site.result(0))


def _power(site: Site) -> None:
    """Multiply for a small constant; else raise in the base's type, integers in float64.

    ONNX Runtime does the same. TVM's own power is for two operands of one floating-point type.
    """
    base, exponent = site.operand(0), site.operand(1)
    kind, given = site.type(base), site.value(exponent)
    if given is not None and given.size == 1 and given.ndim < 2 and given.item() in (2, 3):
        made = base
        for _ in range(int(given.item()) - 2):
            made = site.add("Mul", made, base)
        site.add("Mul", made, base, into=site.result(0))
    elif not site.is_float(base):
        wide = [site.add("Cast", each, to=DOUBLE) for each in (base, exponent)]
        site.add("Cast", site.add("Pow", *wide), into=site.result(0), to=kind)
    elif site.type(exponent) != kind:
        site.add("Pow", base, site.add("Cast", exponent, to=kind), into=site.result(0))
    else:
        site.keep()


def _bool_extreme(site: Site) -> None:
    """Take the largest or smallest of booleans as that of their bytes."""
    if site.type(site.operand(0)) != BOOL:
        site.keep()
        return
    values = site.add("Cast", site.operand(0), to=UINT8)
    found = site.same(site.node.op_type, values, *site.node.input[1:])
    site.add("Cast", found, into=site.result(0), to=BOOL)


def _extreme_position(site: Site) -> None:
    """Find the extreme of bytes as that of int32 values.

    TVM's kernel starts with the worst value of the type at position -1, and keeps to that where
    there is no better one, as in a row of zeros.
    """
    if site.type(site.operand(0)) not in (INT8, UINT8):
        site.keep()
        return
    wide = site.add("Cast", site.operand(0), to=INT32)
    site.same(site.node.op_type, wide, into=site.result(0))


def _reduce_log_sum(site: Site) -> None:
    """Take the logarithm of a sum; axes are an attribute before operator set 18."""
    axes = site.attribute("axes", None)
    operands = [site.operand(0), site.operand(1) if axes is None else site.ints(*axes)]
    names = ("keepdims", "noop_with_empty_axes")
    kept = {name: value for name in names if (value := site.attribute(name, None)) is not None}
    total = site.add("ReduceSum", *operands[: 2 if operands[1] else 1], **kept)
    site.add("Log", total, into=site.result(0))


def _reverse_sequence(site: Site) -> None:
    """Gather the first elements along time in reverse, as many as each sequence is long."""
    x, lengths = site.operand(0), site.operand(1)
    time, batch = site.attribute("time_axis", 0), site.attribute("batch_axis", 1)
    shape = site.static(x)
    steps = site.constant(np.arange(shape[time]).reshape(-1, *[1] * (len(shape) - 1 - time)))
    across = [shape[batch] if axis == batch else 1 for axis in range(len(shape))]
    lengths = site.add("Reshape", lengths, site.ints(*across))
    last = site.add("Sub", lengths, site.ints(1))
    within = site.add("Less", steps, lengths)
    source = site.add("Where", within, site.add("Sub", last, steps), steps)
    source = site.add("Expand", source, site.ints(*shape))
    site.add("GatherElements", x, source, into=site.result(0), axis=time)


def _open_shape(site: Site) -> str:
    if site.shape(site.operand(0)) is None:
        return "the shape that it takes is computed at run time"
    return ""


LOWERED: dict[str, Callable[[Site], None]] = {
    "ArgMax": _extreme_position,
    "ArgMin": _extreme_position,
    "Celu": _celu,
    "Pow": _power,
    "ReduceLogSum": _reduce_log_sum,
    "ReduceMax": _bool_extreme,
    "ReduceMin": _bool_extreme,
    "ReverseSequence": _reverse_sequence,
}

OBSTACLES: dict[str, Callable[[Site], str]] = {"ReverseSequence": _open_shape}
