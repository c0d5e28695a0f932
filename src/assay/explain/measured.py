"""Remarks that need more than the IR of a build: its times, its threads, or a second build."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from assay.compiler.config import Config
from assay.compiler.remarks.remark import Remark
from assay.compiler.remarks.rules import bandwidth_bound, no_effect, oversubscribed
from assay.timing.cores import usable_core_numbers
from assay.timing.roofline import roof_of

if TYPE_CHECKING:
    from assay.model.facts import Model
    from assay.runtimes.tvm import TVMRuntime
    from assay.timing.peaks import Peaks
    from assay.timing.profile import Profile

# Of a roof that was measured by reading alone; kernels write as well.
_AT_THE_ROOF = 0.6
# Kernels that take less of an inference are not worth a line.
_WORTH_IT = 0.01
_RUNS = 20
_WORKING_SHARE = 0.05  # of the busiest thread's CPU time


def measured(model: Model, runtime: TVMRuntime, profile: Profile) -> list[Remark]:
    """Return what times and threads tell of a build, and whether its opt level matters."""
    from assay.timing.peaks import peaks

    cores = len(usable_core_numbers()) or os.cpu_count() or 1
    config = Config(**_tuples(runtime.manifest.config))  # type: ignore[arg-type]
    return [
        *oversubscribed.remarks_on(profile.threads, cores, threads_at_work(runtime)),
        *bandwidth_remarks(profile, peaks(profile.threads)),
        *no_effect_remarks(model, config),
    ]


def bandwidth_remarks(profile: Profile, peaks: Peaks) -> Iterator[Remark]:
    """Yield the kernels that move bytes about as fast as the machine can."""
    for index, kernel in enumerate(profile.kernels):
        roof = roof_of(kernel, peaks)
        if (
            roof.bound == "memory"
            and roof.share >= _AT_THE_ROOF
            and profile.share(kernel) >= _WORTH_IT
        ):
            call = kernel.call
            share = f"{roof.share:.0%} of the bytes a second"
            yield bandwidth_bound.RULE.remark(
                f"{call.title} moves {share} that {roof.level} gives",
                op=call.title,
                layer=call.layers[-1].name if call.layers else "",
                calls=(index,),
            )


def no_effect_remarks(model: Model, config: Config) -> Iterator[Remark]:
    """Yield a remark if the opt level below compiles to the same IR."""
    from assay.compiler.build import ir_digest

    below = config.opt_level - 1
    if below >= 0 and ir_digest(model, config) == ir_digest(
        model, replace(config, opt_level=below)
    ):
        yield no_effect.RULE.remark(
            f"opt levels {below} and {config.opt_level} compile to the same IR"
        )


def threads_at_work(runtime: TVMRuntime) -> int | None:
    """Return how many threads work in an inference, by their CPU time; None if not known."""
    from assay.timing.probe import ThreadTime, thread_times

    runtime.run()
    before = thread_times()
    for _ in range(_RUNS if runtime.threads > 1 else 1):
        runtime.run()
    none = ThreadTime(0, 0)
    busy = [now.busy_ns - before.get(t, none).busy_ns for t, now in thread_times().items()]
    most = max(busy, default=0)
    return sum(each > _WORKING_SHARE * most for each in busy) if most > 0 else None


def _tuples(fields: dict[str, object]) -> dict[str, object]:
    """JSON knows no tuples, and a Config has no lists."""
    return {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
