"""The panels of weights that direct convolution goes through, one of each group after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from assay.compiler.kernels.builder import Expr, KernelBuilder, within
from assay.compiler.kernels.next_panel import NextPanel
from assay.compiler.kernels.panels import PanelRun, packed_columns, panel_count
from assay.compiler.kernels.problem import Conv2d

if TYPE_CHECKING:
    from assay.compiler.kernels.direct import Plan


@dataclass(frozen=True)
class Panel:
    """One panel of one group: its first output channel, and its place in the packed weights.

    ``ahead`` is what is asked for while it is read.
    """

    run: PanelRun
    channel: Expr
    packed: Expr
    in_channel: Expr
    ahead: NextPanel | None = None


def each_panel(
    b: KernelBuilder, p: Conv2d, plan: Plan, body: Callable[[Panel], None], weights: Expr = 0
) -> None:
    """Emit ``body`` for each panel of each group; threads deal them out if that is the plan.

    ``weights`` is where packed weights start.
    """
    runs, panels = plan.runs, panel_count(plan.runs)
    depth, inputs = prod(p.weights_shape[:3]), p.in_c // p.groups

    def panel(run: PanelRun, group: Expr, index: Expr) -> Panel:
        before = index * run.packed_columns
        channel = group * (p.out_c // p.groups) + run.start + before
        packed = group * packed_columns(runs) + run.packed + before
        return Panel(run, b.let(channel), b.let(packed * depth + weights), group * inputs)

    if plan.sharing == "panels":
        with b.parallel(p.groups * panels) as unit:
            group, number = b.let(unit // panels), b.let(unit % panels)
            for run in runs:
                with b.when(within(number, run.first, run.first + run.count)):
                    body(panel(run, group, number - run.first))
        return
    with b.serial(p.groups) as group:
        for run in runs:
            with b.serial(run.count) as index:
                body(panel(run, group, index))
