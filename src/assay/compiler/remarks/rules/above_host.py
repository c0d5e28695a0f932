"""isa/above-host: the build cannot run on the machine that compiled it."""

from __future__ import annotations

from collections.abc import Iterator

from assay.compiler.config import Config
from assay.compiler.remarks.facts import Facts
from assay.compiler.remarks.remark import Remark
from assay.compiler.remarks.rule import Example, Rule
from assay.compiler.target import Isa


def _find(facts: Facts, rule: Rule) -> Iterator[Remark]:
    uses = {feature for kernel in facts.kernels for feature in kernel.uses}
    if reason := _reason(facts.isa, uses, facts.host):
        yield rule.remark(
            f"the build cannot run on this machine ({facts.host.name}): {reason}",
            fix={"target": "native", "target_host": None},
        )


def _reason(isa: Isa, uses: set[str], host: Isa) -> str:
    """Return what the machine lacks; '' if nothing that kernels are made of."""
    if isa.arch != host.arch:
        return f"the code is for {isa.arch}, the machine is {host.arch}"
    if isa.vector_bits > host.vector_bits:
        return f"the code uses vectors of {isa.vector_bits} bits, it has {host.vector_bits}"
    if isa.dot != "none" and host.dot == "none":
        return f"the code uses the 8-bit dot product {isa.dot}, which it lacks"
    if "amx-int8" in uses and not host.tiles:
        return "the code uses matrix tiles, which it lacks"
    return ""


RULE = Rule(
    id="isa/above-host",
    meaning="The build needs instructions that the machine that compiled it lacks.",
    why="The first of them would end the process with SIGILL, so assay refuses to load the build "
    "here and says why.",
    advice="Run it on a machine that has them, or compile with --target native.",
    lines=(
        "the build cannot run on this machine (CPU): the code is for ARCH, the machine is ARCH",
        "the build cannot run on this machine (CPU): the code uses vectors of BITS bits, it has "
        "BITS",
        "the build cannot run on this machine (CPU): the code uses the 8-bit dot product NAME, "
        "which it lacks",
        "the build cannot run on this machine (CPU): the code uses matrix tiles, which it lacks",
    ),
    example=Example(
        "the build cannot run on this machine (znver4): the code is for aarch64, the machine is "
        "x86_64",
        config=Config(target="llvm -mtriple=aarch64-linux-gnu"),
    ),
    find=_find,
)
