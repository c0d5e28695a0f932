"""threads/oversubscribed: more threads than cores, or fewer at work than were asked for."""

from __future__ import annotations

from collections.abc import Iterator

from assay.compiler.remarks.remark import Remark
from assay.compiler.remarks.rule import Example, Rule

RULE = Rule(
    id="threads/oversubscribed",
    meaning="More threads were asked for than there are cores, or fewer did work than were asked "
    "for.",
    why="Threads that share a core wait for each other at the end of each kernel; threads that get "
    "no work make nothing faster.",
    advice="Give --threads the number of cores that the process may use; small kernels run on one "
    "thread whatever is asked.",
    lines=(
        "COUNT threads on COUNT usable cores",
        "COUNT of COUNT threads did work",
    ),
    example=Example("16 threads on 2 usable cores", explain=("--threads", "16")),
)


def remarks_on(threads: int, cores: int, used: int | None) -> Iterator[Remark]:
    """Yield what is wrong with a number of threads; ``used`` is None where it is not known."""
    if threads > cores:
        yield RULE.remark(f"{threads} threads on {cores} usable cores")
    if used is not None and used < threads:
        yield RULE.remark(f"{used} of {threads} threads did work")
