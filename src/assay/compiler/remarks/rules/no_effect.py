"""passes/no-effect: an opt level that gives the same IR as the one below."""

from __future__ import annotations

from assay.compiler.config import Config
from assay.compiler.remarks.rule import Example, Rule

RULE = Rule(
    id="passes/no-effect",
    meaning="Two opt levels compile the model to the same IR.",
    why="Their builds are the same program: a difference between their times is noise.",
    advice="Leave out one of them. TVM 0.27's own pipeline knows no levels above 1; with "
    "--pipeline assay each level adds passes, which need an operator that they can change.",
    lines=("opt levels LEVEL and LEVEL compile to the same IR",),
    example=Example(
        "opt levels 2 and 3 compile to the same IR", config=Config(pipeline="stock"), explain=()
    ),
)
