"""schedule/none: kernels without vectorized or parallel loops."""

from __future__ import annotations

from collections.abc import Iterator

from assay.compiler.config import Config
from assay.compiler.remarks.facts import Facts, is_heavy
from assay.compiler.remarks.remark import Remark
from assay.compiler.remarks.rule import Example, Rule

# Kernels that run fewer bodies than a microsecond's worth are not worth a loop that is scheduled.
_WORTH_IT = 1024


def _find(facts: Facts, rule: Rule) -> Iterator[Remark]:
    fix = facts.missing(pipeline="assay", opt_level=max(facts.config.opt_level, 3))
    if facts.plain:
        for op, calls in facts.placed_loops():
            if op.layout != "NHWC":  # those have a rule of their own
                yield rule.remark(
                    f"{op.kind} runs as plain loops, neither vectorized nor parallel",
                    op=op.kind,
                    fix=fix,
                    calls=calls,
                )
    for kernel in facts.kernels:
        plain = not (kernel.bound or kernel.vectorized or kernel.parallel)
        if plain and not is_heavy(kernel.parts) and kernel.iterations >= _WORTH_IT:
            kind = " + ".join(dict.fromkeys(kernel.parts))
            yield rule.remark(
                f"{kind} runs as plain loops, neither vectorized nor parallel",
                op=kind,
                fix=fix,
                calls=(kernel.call,),
            )


RULE = Rule(
    id="schedule/none",
    meaning="A kernel has neither a vectorized nor a parallel loop.",
    why="One element at a time, on one core, unless LLVM finds a vector loop by itself.",
    advice="Compile at level 2 or above, with --pipeline assay.",
    lines=(
        "OP runs as plain loops, neither vectorized nor parallel",
        "NAME: left as plain loops (REASON)",
    ),
    example=Example(
        "dense runs as plain loops, neither vectorized nor parallel",
        config=Config(pipeline="stock"),
    ),
    find=_find,
)
