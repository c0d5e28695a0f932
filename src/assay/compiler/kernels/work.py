"""How much work a kernel is, and whether that is worth more than one thread."""

from __future__ import annotations

from typing import Literal

from assay.compiler.target import Isa

Sharing = Literal["nothing", "rows", "panels"]
"""What threads deal out: rows (of a single one, its tiles), panels of the weights, or nothing."""

PLANNED_TASKS = 4
"""Networks' kernels are written for as many threads; fewer at run time share the same tasks."""

NOMINAL_GHZ = 3.0
NOMINAL_GB_PER_S = 10.0  # what one core draws from memory, at the low end of server CPUs
NOMINAL_CACHE_GB_PER_S = 64.0  # and from the second-level cache
# Measured on Zen 4 by the two threads of a network of ten kernels, with `benchmarks.peers`: to
# share a kernel out takes 0.3 us, to start and to join the threads 1 us.
WORTH_SPLITTING_US = 1.0
WORTH_A_TEAM_US = 6.0
ACCEPTABLE_BALANCE = 0.85  # busy share of the threads; below it, look for another way to split


def estimated_us(isa: Isa, flops: int, bytes_moved: int) -> float:
    """Estimate a kernel's time on one core: one vector multiply-add per cycle, or memory.

    What fits into half the second-level cache is taken to be there.
    """
    compute_us = flops / (2 * isa.lanes() * NOMINAL_GHZ * 1e3)
    cached = bytes_moved <= isa.l2_bytes // 2
    rate = NOMINAL_CACHE_GB_PER_S if cached else NOMINAL_GB_PER_S
    return max(compute_us, bytes_moved / (rate * 1e3))


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
