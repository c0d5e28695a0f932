"""precision/no-dot-product: integer layers on an ISA without 8-bit dot products."""

from __future__ import annotations

from collections.abc import Iterator

from assay.compiler.config import Config
from assay.compiler.remarks.facts import Facts
from assay.compiler.remarks.remark import Remark
from assay.compiler.remarks.rule import INT8, Example, Rule


def _find(facts: Facts, rule: Rule) -> Iterator[Remark]:
    integers = any(kernel.bound and kernel.integer for kernel in facts.kernels)
    if integers and facts.isa.dot == "none":
        better = facts.host.dot != "none" and facts.host.arch == facts.isa.arch
        yield rule.remark(
            f"integer layers on {facts.isa.name}, which has no 8-bit dot product",
            fix=facts.missing(target="native") if better else {},
        )


RULE = Rule(
    id="precision/no-dot-product",
    meaning="Integer layers are compiled for an ISA without an 8-bit dot product.",
    why="8-bit values are widened to 16 bits and multiplied in pairs: two products a lane and "
    "instruction instead of four, and extra work to widen them.",
    advice="Where the machine has VNNI, AMX or dotprod, name its CPU in --target; where it has "
    "not, expect about the speed of FP32 on AVX2 and less than that on SSE2.",
    lines=("integer layers on CPU, which has no 8-bit dot product",),
    example=Example(
        "integer layers on generic, which has no 8-bit dot product",
        model=INT8,
        config=Config(target="llvm"),
    ),
    find=_find,
)
