"""fusion/missed: element-wise operators in kernels of their own."""

from __future__ import annotations

from collections.abc import Iterator

from assay.compiler.config import Config
from assay.compiler.remarks.facts import Facts
from assay.compiler.remarks.remark import Remark
from assay.compiler.remarks.rule import Example, Rule

_ELEMENT_WISE = frozenset(
    {"add", "subtract", "multiply", "divide", "clip", "relu", "sigmoid", "tanh", "maximum",
     "minimum", "quantize", "dequantize", "leakyrelu"}
)  # fmt: skip


def _find(facts: Facts, rule: Rule) -> Iterator[Remark]:
    for kernel, before in zip(facts.kernels[1:], facts.kernels, strict=False):
        if kernel.bound or not kernel.parts or not _ELEMENT_WISE.issuperset(kernel.parts):
            continue
        kind = " + ".join(dict.fromkeys(kernel.parts))
        yield rule.remark(
            f"{kind} is a kernel of its own: {_reason(facts, before.bound)}",
            op=kind,
            fix=facts.missing(opt_level=3) if facts.config.opt_level == 0 else {},
            calls=(kernel.call,),
        )


def _reason(facts: Facts, after_bound: bool) -> str:
    if facts.config.pipeline == "assay" and facts.config.opt_level == 0:
        return "opt level 0 fuses nothing"
    if after_bound:
        return "the kernel before it takes no such epilogue"
    return "its operands come from several kernels, or several kernels read it"


RULE = Rule(
    id="fusion/missed",
    meaning="An element-wise operator could not join the kernel that makes its data.",
    why="A tensor is written to memory and read again for a few operations an element.",
    advice="At level 0 compile at level 1 or above; else it is a limit of the fusion or of the "
    "kernels.",
    lines=(
        "OP is a kernel of its own: opt level 0 fuses nothing",
        "OP is a kernel of its own: the kernel before it takes no such epilogue",
        "OP is a kernel of its own: its operands come from several kernels, or several kernels "
        "read it",
    ),
    example=Example(
        "add is a kernel of its own: opt level 0 fuses nothing", config=Config(opt_level=0)
    ),
    find=_find,
)
