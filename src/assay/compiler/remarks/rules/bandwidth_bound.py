"""memory/bandwidth-bound: a kernel that moves bytes as fast as the machine does."""

from __future__ import annotations

from assay.compiler.remarks.rule import Example, Rule

RULE = Rule(
    id="memory/bandwidth-bound",
    meaning="A kernel is at the memory roof: it moves its bytes about as fast as this machine can.",
    why="More operations a second would not make it faster, as it waits for memory.",
    advice="Move fewer bytes: an INT8 model, fusion with the layer before (--opt-level 4), or a "
    "smaller layer. Faster arithmetic or more vector bits will not help.",
    lines=("OP moves SHARE of the bytes a second that LEVEL gives",),
    example=Example("FULLY_CONNECTED moves 71% of the bytes a second that L3 gives", explain=()),
)
