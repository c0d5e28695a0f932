"""isa/below-host: fewer vector bits than this machine has."""

from __future__ import annotations

from collections.abc import Iterator

from assay.compiler.config import Config
from assay.compiler.remarks.facts import Facts
from assay.compiler.remarks.remark import Remark
from assay.compiler.remarks.rule import Example, Rule


def _find(facts: Facts, rule: Rule) -> Iterator[Remark]:
    isa, host = facts.isa, facts.host
    if isa.arch == host.arch and isa.vector_bits < host.vector_bits:
        yield rule.remark(
            f"the code uses vectors of {isa.vector_bits} bits, this machine ({host.name}) has "
            f"{host.vector_bits}",
            fix={"target": "native"},
        )


RULE = Rule(
    id="isa/below-host",
    meaning="The build uses narrower vectors than the machine that compiled it has.",
    why="A target without an mcpu means the smallest CPU of the architecture.",
    advice="Give --target native, or the name of the CPU that the build will run on.",
    lines=("the code uses vectors of BITS bits, this machine (CPU) has BITS",),
    example=Example(
        "the code uses vectors of 128 bits, this machine (znver4) has 512",
        config=Config(target="llvm"),
    ),
    find=_find,
)
