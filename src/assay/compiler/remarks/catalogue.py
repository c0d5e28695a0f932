"""All rules: those about the IR in the order in which their remarks are logged, then the others.

The last ones have no ``find``: they need times, a second build or data, which ``assay explain``
has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from assay.compiler.remarks.facts import Facts
from assay.compiler.remarks.remark import Remark
from assay.compiler.remarks.rules import (
    above_host,
    bandwidth_bound,
    below_host,
    constant_transposed,
    dynamic_range,
    first_divergence,
    float_in_int8,
    missed_fusion,
    nhwc_unscheduled,
    no_dot_product,
    no_effect,
    oversubscribed,
    saturation,
    transpose_around_op,
    transpose_at_input,
    unscheduled,
    untiled,
    weights_widened,
)

RULES = (
    above_host.RULE,
    below_host.RULE,
    constant_transposed.RULE,
    transpose_at_input.RULE,
    transpose_around_op.RULE,
    float_in_int8.RULE,
    weights_widened.RULE,
    dynamic_range.KEPT,
    dynamic_range.DEQUANTIZED,
    no_dot_product.RULE,
    nhwc_unscheduled.RULE,
    unscheduled.RULE,
    untiled.RULE,
    missed_fusion.RULE,
    no_effect.RULE,
    oversubscribed.RULE,
    bandwidth_bound.RULE,
    first_divergence.RULE,
    saturation.RULE,
)


def remarks_on(facts: Facts) -> Iterator[Remark]:
    """Yield what each rule finds about a build."""
    for rule in RULES:
        if rule.find is not None:
            for remark in rule.find(facts, rule):
                yield _located(remark, facts)


def _located(remark: Remark, facts: Facts) -> Remark:
    """Name the layer of a remark about a call whose layer is known."""
    if remark.layer or not remark.calls:
        return remark
    return replace(remark, layer=facts.kernels[remark.calls[0]].layer)
