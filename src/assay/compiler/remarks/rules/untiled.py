"""schedule/untiled: heavy operators in vector loops, without a register tile."""

from __future__ import annotations

from collections.abc import Iterator

from assay.compiler.config import Config
from assay.compiler.remarks.facts import Facts
from assay.compiler.remarks.remark import Remark
from assay.compiler.remarks.rule import Example, Rule


def _find(facts: Facts, rule: Rule) -> Iterator[Remark]:
    if facts.plain:
        return
    fix = facts.missing(opt_level=max(facts.config.opt_level, 3))
    for op, calls in facts.placed_loops():
        yield rule.remark(
            f"{op.kind} runs as vectorized loops; there is no register-tiled kernel for it here",
            op=op.kind,
            fix=fix,
            calls=calls,
        )


RULE = Rule(
    id="schedule/untiled",
    meaning="A heavy operator runs as vectorized loops, not as a register-tiled kernel.",
    why="Vectors and all cores are used, but each value is loaded again for each use.",
    advice="Compile at level 3 or above. An operator that still has such a line is of a kind "
    "that no kernel of assay's computes.",
    lines=("OP runs as vectorized loops; there is no register-tiled kernel for it here",),
    example=Example(
        "conv2d NHWC runs as vectorized loops; there is no register-tiled kernel for it here",
        config=Config(opt_level=2),
    ),
    find=_find,
)
