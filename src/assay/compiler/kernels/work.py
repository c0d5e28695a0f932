"""How much work a kernel is, and whether that is worth more than one thread."""

from __future__ import annotations

from typing import Literal

from assay.compiler.target import Isa

Sharing = Literal["nothing", "rows", "panels"]
"""What threads deal out: rows of the output, column panels of the weights, or nothing."""

NOMINAL_GHZ = 3.0
NOMINAL_GB_PER_S = 10.0  # what one core draws from memory, at the low end of server CPUs
WORTH_SPLITTING_US = 20.0  # starting and joining a parallel region takes 1 us if threads are awake
ACCEPTABLE_BALANCE = 0.85  # busy share of the threads; below it, look for another way to split


def estimated_us(isa: Isa, flops: int, bytes_moved: int) -> float:
    """Estimate a kernel's time on one core: one vector multiply-add per cycle, or memory."""
    compute_us = flops / (2 * isa.lanes() * NOMINAL_GHZ * 1e3)
    return max(compute_us, bytes_moved / (NOMINAL_GB_PER_S * 1e3))


def task_count(isa: Isa, parallel: int, flops: int, bytes_moved: int) -> int:
    """Return for how many threads to split a kernel: ``parallel``, or 1 if it is too small."""
    worth = estimated_us(isa, flops, bytes_moved) >= WORTH_SPLITTING_US
    return parallel if worth else 1


def balance(parts: int, tasks: int) -> float:
    """Return the busy share of ``tasks`` threads that deal ``parts`` equal parts among them."""
    return parts / (tasks * -(-parts // tasks))


def choose_sharing(
    tasks: int, row_parts: int, panel_parts: int, input_bytes: int, weight_bytes: int
) -> Sharing:
    """Split the larger operand, so that threads read less of it, unless that idles threads."""
    if tasks == 1 or max(row_parts, panel_parts) == 1:
        return "nothing"
    by_rows, by_panels = balance(row_parts, tasks), balance(panel_parts, tasks)
    if input_bytes > weight_bytes:
        return "rows" if by_rows >= min(ACCEPTABLE_BALANCE, by_panels) else "panels"
    return "panels" if by_panels >= min(ACCEPTABLE_BALANCE, by_rows) else "rows"
