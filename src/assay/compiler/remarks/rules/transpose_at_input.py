"""layout/transpose-at-input: the one transpose that NCHW costs a model that takes NHWC."""

from __future__ import annotations

from collections.abc import Iterator

from assay.compiler.config import Config
from assay.compiler.remarks.facts import Facts
from assay.compiler.remarks.remark import Remark
from assay.compiler.remarks.rule import Example, Rule


def _find(facts: Facts, rule: Rule) -> Iterator[Remark]:
    for op, _ in facts.transposes():
        if op.at_input:
            yield rule.remark(
                "permute_dims at the network's input",
                op=op.kind,
                fix=facts.missing(layout="nhwc", convert_ops=None),
            )


RULE = Rule(
    id="layout/transpose-at-input",
    meaning="The input is transposed once, because the model takes NHWC and the build is NCHW.",
    why="It is the least that --layout nchw costs, unless a convolution reads the input in NHWC.",
    advice="From level 3 on, convolutions in FP32 do, if it has 4 channels or fewer. "
    "Otherwise nothing, or --layout nhwc.",
    lines=("permute_dims at the network's input",),
    example=Example(
        "permute_dims at the network's input", config=Config(layout="nchw", opt_level=2)
    ),
    find=_find,
)
