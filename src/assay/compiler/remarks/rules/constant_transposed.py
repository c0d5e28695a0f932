"""layout/constant-transposed: weights that are transposed in each inference."""

from __future__ import annotations

from collections.abc import Iterator

from assay.compiler.config import Config
from assay.compiler.remarks.facts import Facts
from assay.compiler.remarks.remark import Remark
from assay.compiler.remarks.rule import Example, Rule


def _find(facts: Facts, rule: Rule) -> Iterator[Remark]:
    wanted = {"opt_level": max(facts.config.opt_level, 2), "pipeline": "assay"}
    for op in facts.ops:
        if op.name == "permute_dims" and op.constant_data:
            fix = facts.missing(**wanted)
            yield rule.remark("permute_dims of a constant", op=op.kind, fix=fix)


RULE = Rule(
    id="layout/constant-transposed",
    meaning="Weights are transposed by the build, not by the compiler.",
    why="The same transpose of the same numbers runs in each inference.",
    advice="Compile at level 2 or above with --pipeline assay: it is done once, at compile time.",
    lines=("permute_dims of a constant",),
    example=Example("permute_dims of a constant", config=Config(pipeline="stock")),
    find=_find,
)
