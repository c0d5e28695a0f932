"""layout/nhwc-unscheduled: NHWC convolutions as plain loops."""

from __future__ import annotations

from collections.abc import Iterator

from assay.compiler.config import Config
from assay.compiler.remarks.facts import Facts
from assay.compiler.remarks.remark import Remark
from assay.compiler.remarks.rule import Example, Rule


def _find(facts: Facts, rule: Rule) -> Iterator[Remark]:
    if not facts.plain:
        return
    fix = facts.missing(pipeline="assay", opt_level=max(facts.config.opt_level, 3))
    for op, calls in facts.placed_loops():
        if op.layout == "NHWC":
            yield rule.remark(
                f"{op.kind} runs as plain loops, neither vectorized nor parallel",
                op=op.kind,
                fix=fix,
                calls=calls,
            )


RULE = Rule(
    id="layout/nhwc-unscheduled",
    meaning="An NHWC convolution runs as plain loops on this target.",
    why="One multiply-add at a time, on one core: TVM 0.27 schedules no CPU code, and --opt-level "
    "0 and 1 leave it so.",
    advice="Compile at level 3 or above with --pipeline assay, which has register-tiled kernels "
    "for this layout.",
    lines=("OP runs as plain loops, neither vectorized nor parallel",),
    example=Example(
        "conv2d NHWC runs as plain loops, neither vectorized nor parallel",
        config=Config(pipeline="stock"),
    ),
    find=_find,
)
