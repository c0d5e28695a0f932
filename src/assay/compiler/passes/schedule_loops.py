"""Vectorize and parallelize the loops of kernels that TVM generated from operator definitions.

TVM 0.27 leaves such kernels as plain nests, whatever the operator. One schedule serves them all:
element-wise stages are inlined, the innermost spatial loop is split by the vector length and
vectorized with the reduction loops outside it, the stage after a reduction is computed in its
tiles, and the outermost loops become one parallel loop.
"""

from __future__ import annotations

from math import prod
from typing import Any

import tvm
from tvm import s_tir, tirx

from assay.compiler.remarks.log import Log
from assay.compiler.remarks.rules.unscheduled import RULE as PLAIN
from assay.compiler.target import Isa

# A parallel region costs about a microsecond; this many multiply-adds take a few.
_PARALLEL_WORK = 32768
# Enough parallel iterations to balance any machine's cores, few enough to keep chunks large.
_PARALLEL_TASKS = 64


def schedule_loops(isa: Isa, log: Log) -> Any:
    """Return the module pass; a kernel that it cannot schedule is left as it is and logged."""

    @tvm.transform.module_pass(opt_level=0, name="ScheduleLoops")
    def run(mod: Any, _context: Any) -> Any:
        scheduled = mod.clone()
        for var, function in mod.functions_items():
            if isinstance(function, tirx.PrimFunc) and _is_plain(function):
                scheduled.update_func(var, _schedule(function, var.name_hint, isa, log))
        return scheduled

    return run


def _is_plain(function: Any) -> bool:
    """Tell a kernel that is a plain nest of blocks from one that was built as it should run."""
    attrs = function.attrs or {}
    as_written = attrs.get("assay.kernel") or attrs.get("tirx.is_scheduled")
    return bool(attrs.get("s_tir")) and not as_written


def _schedule(function: Any, name: str, isa: Isa, log: Log) -> Any:
    schedule = s_tir.Schedule(tvm.IRModule({"main": function}))
    try:
        _inline_stages(schedule)
        taken: set[str] = set()
        for block in _blocks(schedule):
            if schedule.get(block).name_hint not in taken:
                taken |= _schedule_block(schedule, block, isa)
    except s_tir.ScheduleError as error:
        reason = str(error).strip().splitlines()[0]
        log.append(PLAIN.remark(f"{name}: left as plain loops ({reason})", op=name))
        return function
    return schedule.mod["main"].with_attr("tirx.is_scheduled", True)


def _blocks(schedule: Any) -> list[Any]:
    return list(schedule.get_child_blocks(schedule.get_sblock("root")))


def _inline_stages(schedule: Any) -> None:
    """Inline each element-wise stage into its consumer, or failing that into its producer.

    Padding stays a stage of its own: inlined, its condition would run once a multiply-add.
    """
    for block in _blocks(schedule):
        if not _is_spatial(schedule, block) or _is_padding(schedule, block):
            continue
        for inline in (schedule.compute_inline, schedule.reverse_compute_inline):
            try:
                inline(block)
                break
            except s_tir.ScheduleError:
                continue


def _is_spatial(schedule: Any, block: Any) -> bool:
    return all(v.iter_type == tirx.IterVar.DataPar for v in schedule.get(block).iter_vars)


def _is_padding(schedule: Any, block: Any) -> bool:
    body = schedule.get(block).body
    value = body.value if isinstance(body, tirx.BufferStore) else None
    return isinstance(value, tvm.ir.Call) and value.op.name == "prim.if_then_else"


def _schedule_block(schedule: Any, block: Any, isa: Isa) -> set[str]:
    """Schedule one stage; return the names of the consumers that were computed in its tiles."""
    loops = schedule.get_loops(block)
    types = [v.iter_type for v in schedule.get(block).iter_vars]
    taken: set[str] = set()
    if not loops:  # of one element, as a mean of all; the block has an iterator of its own
        return taken
    spatial = [lp for lp, t in zip(loops, types, strict=True) if t == tirx.IterVar.DataPar]
    reduction = [lp for lp, t in zip(loops, types, strict=True) if t != tirx.IterVar.DataPar]
    if not spatial:
        return taken
    work = prod(_extent(schedule, lp) for lp in loops)
    lanes = _vector_factor(_extent(schedule, spatial[-1]), isa.lanes())
    last, vector = schedule.split(spatial[-1], factors=[None, lanes])
    outer = [*spatial[:-1], last]
    schedule.reorder(*outer, *reduction, vector)
    if lanes > 1:
        schedule.vectorize(vector)
    if reduction:
        taken = _take_in_consumer(schedule, block, outer[-1], lanes > 1)
    if work >= _PARALLEL_WORK:
        _parallelize(schedule, outer)
    if reduction:
        schedule.decompose_reduction(block, reduction[0])
    return taken


def _take_in_consumer(schedule: Any, block: Any, loop: Any, vectorized: bool) -> set[str]:
    """Compute a reduction's only consumer, if element-wise, in the tile that was just reduced."""
    consumers = schedule.get_consumers(block)
    if len(consumers) != 1 or not _is_spatial(schedule, consumers[0]):
        return set()
    schedule.reverse_compute_at(consumers[0], loop)
    if vectorized:  # else the last loop is the shared one
        schedule.vectorize(schedule.get_loops(consumers[0])[-1])
    return {str(schedule.get(consumers[0]).name_hint)}


def _parallelize(schedule: Any, outer: list[Any]) -> None:
    chosen, tasks = [], 1
    for loop in outer:
        if tasks >= _PARALLEL_TASKS:
            break
        chosen.append(loop)
        tasks *= _extent(schedule, loop)
    if tasks > 1:
        schedule.parallel(schedule.fuse(*chosen) if len(chosen) > 1 else chosen[0])


def _extent(schedule: Any, loop: Any) -> int:
    return int(schedule.get(loop).extent)


def _vector_factor(extent: int, lanes: int) -> int:
    """Return a divisor of the extent to vectorize by: no remainder, no mask.

    The largest that fits one register; where that is a poor use of it (37 is prime), the whole
    extent if LLVM can still split it over a few.
    """
    best = max(d for d in range(1, min(extent, lanes) + 1) if extent % d == 0)
    return extent if 2 * best < lanes and extent <= 4 * lanes else best
