"""layout/transpose-around-op: transposes inside the network."""

from __future__ import annotations

from collections.abc import Iterator

from assay.compiler.config import Config
from assay.compiler.remarks.facts import Facts
from assay.compiler.remarks.remark import Remark
from assay.compiler.remarks.rule import INT8, Example, Rule


def _find(facts: Facts, rule: Rule) -> Iterator[Remark]:
    for op, calls in facts.transposes():
        if not op.at_input:
            yield rule.remark(
                f"permute_dims inside the network, after {op.source}",
                op=op.source,
                fix=facts.missing(layout="nhwc", convert_ops=None, opt_level=_level(facts)),
                calls=calls,
            )


def _level(facts: Facts) -> int:
    return max(facts.config.opt_level, 3)


RULE = Rule(
    id="layout/transpose-around-op",
    meaning="A layout conversion left transposes inside the network.",
    why="Each transpose moves a whole tensor through memory in each inference, computing nothing.",
    advice="After clip, add or conv2d compile at level 3 or above, where the layout passes "
    "through; after dequantize let qnn.conv2d take part in --convert-ops, or leave the option "
    "away; or stay with --layout nhwc, which needs no transposes.",
    lines=("permute_dims inside the network, after OP",),
    example=Example(
        "permute_dims inside the network, after dequantize",
        model=INT8,
        config=Config(layout="nchw", convert_ops=("conv2d",)),
    ),
    find=_find,
)
