"""Compile a build, the best build of the same model, and say where the difference goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

from assay.compiler.config import Config
from assay.compiler.remarks.fix import fixed
from assay.compiler.remarks.remark import Remark
from assay.explain.costs import FLOAT, Costs, share_out
from assay.explain.measured import measured

if TYPE_CHECKING:
    from assay.explain.quality import Sample
    from assay.model.facts import Model
    from assay.runtimes.tvm import TVMRuntime

_TURNS = 15


@dataclass(frozen=True)
class Achieved:
    """A fix that was tried: its Config, what its remarks promised, and what it brought, in ms."""

    config: Config
    ids: tuple[str, ...]
    promised_ms: float
    achieved_ms: float


def best_config(config: Config) -> Config:
    """Return the best choices for the same target, batch and part of the graph."""
    level = max(config.opt_level, 3)
    return replace(
        config, opt_level=level, layout="auto", convert_ops=None, precision="auto", pipeline="assay"
    )


def explain(
    model: Model, config: Config, threads: int = 1, samples: Sequence[Sample] = ()
) -> Costs:
    """Compile and profile a build and the best one, and price the remarks; see ``share_out``.

    On ``samples``, each one raw array for each input, the build is held against LiteRT. Raises what
    compiling and running raise.
    """
    from assay.explain.quality import quality_remarks
    from assay.timing.profiler import profile_in_turns

    build = _open(model, config, threads)
    remarks = build.manifest.remarks
    runtimes = [build, _open(model, best_config(config), threads)]
    if any(remark.id == FLOAT for remark in remarks):
        runtimes.append(_open(model, replace(best_config(config), precision="float"), threads))
    profile, best, *between = profile_in_turns(runtimes)
    found = [*remarks, *measured(model, build, profile)]
    if samples:
        found += quality_remarks(model, build, samples)
    return share_out(found, profile, best, between[0] if between else None)


def verify(
    model: Model, config: Config, remarks: Sequence[Remark], threads: int = 1
) -> list[Achieved]:
    """Apply each distinct fix, and time the build with and without it, in turns."""
    promises: dict[Config, list[Remark]] = {}
    for remark in remarks:
        if remark.fix:
            promises.setdefault(fixed(config, remark), []).append(remark)
    before = _open(model, config, threads)
    found = []
    for mended, group in promises.items():
        gained = _gain(before, _open(model, mended, threads))
        promised = sum(remark.cost_ms or 0.0 for remark in group)
        ids = tuple(dict.fromkeys(remark.id for remark in group))
        found.append(Achieved(mended, ids, promised, gained))
    return found


def _open(model: Model, config: Config, threads: int) -> TVMRuntime:
    from assay.runtimes.tvm import open_compiled

    return open_compiled(model.path, config, threads)


def _gain(before: TVMRuntime, after: TVMRuntime) -> float:
    """Return by how many ms the median inference is shorter, both run in turns."""
    times: dict[TVMRuntime, list[float]] = {before: [], after: []}
    for turn in range(_TURNS + 1):
        for runtime, taken in times.items():
            runtime.run()  # the other one's data left the caches cold
            started = perf_counter()
            runtime.run()
            if turn:
                taken.append((perf_counter() - started) * 1e3)
    return median(times[before]) - median(times[after])
