"""Normalization by means, variances and norms that are computed at run time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from assay.compiler.frontend.onnx.lowering.site import Site

_MVN_EPSILON = 1e-9  # of MeanVarianceNormalization, beside the standard deviation
_SCALES_CHANNELS = 21  # GroupNormalization, from this operator set on; before, it scales groups


def _normal(site: Site, x: str, axes: Sequence[int], inside: str, outside: str) -> str:
    """Return ``(x - mean) / (sqrt(variance + inside) + outside)`` over some axes."""
    centred = site.add("Sub", x, site.mean(x, axes))
    variance = site.mean(site.add("Mul", centred, centred), axes)
    if inside:
        variance = site.add("Add", variance, inside)
    spread = site.add("Sqrt", variance)
    if outside:
        spread = site.add("Add", spread, outside)
    return site.add("Div", centred, spread)


def _group_norm(site: Site) -> None:
    """Normalize groups of channels; scale and bias are by channel, before set 21 by group."""
    x, column = site.operand(0), site.ints(-1, 1)
    groups = site.ints(0, site.attribute("num_groups", 1), -1)
    rows = site.add("Reshape", x, groups)
    normal = _normal(site, rows, [2], site.like(x, site.attribute("epsilon", 1e-5)), "")
    if site.opset >= _SCALES_CHANNELS:
        shape = site.add("Concat", site.add("Shape", x, end=2), site.ints(-1), axis=0)
        normal = site.add("Reshape", normal, shape)
    scale, bias = (site.add("Reshape", site.operand(at), column) for at in (1, 2))
    scaled = site.add("Add", site.add("Mul", normal, scale), bias)
    site.add("Reshape", scaled, site.add("Shape", x), into=site.result(0))


def _mean_variance(site: Site) -> None:
    x, axes = site.operand(0), site.attribute("axes", [0, 2, 3])
    normal = _normal(site, x, axes, "", site.like(x, _MVN_EPSILON))
    site.add("Identity", normal, into=site.result(0))


def _lp_norm(site: Site) -> None:
    """Divide by the sum of absolute values or the root of squares; a norm of 0 leaves 0."""
    x, axes = site.operand(0), site.ints(site.attribute("axis", -1))
    squared = site.attribute("p", 2) == 2
    powers = site.add("Mul", x, x) if squared else site.add("Abs", x)
    norm = site.add("ReduceSum", powers, axes)
    if squared:
        norm = site.add("Sqrt", norm)
    nothing = site.add("Equal", norm, site.like(x, 0))
    divisor = site.add("Where", nothing, site.like(x, 1), norm)
    site.add("Div", x, divisor, into=site.result(0))


LOWERED: dict[str, Callable[[Site], None]] = {
    "GroupNormalization": _group_norm,
    "LpNormalization": _lp_norm,
    "MeanVarianceNormalization": _mean_variance,
}
