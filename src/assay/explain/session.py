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
_AT_LEAST_S = 1.0  # shorter spells of a busy machine are not all that is measured


@dataclass(frozen=True)
class Achieved:
    """A fix that was tried: its Config, what its remarks promised, and what it brought, in ms.

    ``before_ms`` and ``after_ms`` were taken in turns; ``profiled_ms`` is the inference that the
    promise is a part of. Where the machine has changed its clock in between, the shares of both
    still compare.
    """

    config: Config
    ids: tuple[str, ...]
    promised_ms: float
    profiled_ms: float
    before_ms: float
    after_ms: float

    @property
    def achieved_ms(self) -> float:
        """By how much an inference is shorter."""
        return self.before_ms - self.after_ms

    @property
    def promised_share(self) -> float:
        """The promise as a share of the profiled inference."""
        return self.promised_ms / self.profiled_ms

    @property
    def achieved_share(self) -> float:
        """What the fix brought as a share of the inference without it."""
        return self.achieved_ms / self.before_ms


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
    from assay.explain.quality import check_samples, quality_remarks
    from assay.timing.profiler import profile_in_turns

    build = _open(model, config, threads)
    check_samples(model, build, samples)
    remarks = build.manifest.remarks
    runtimes = [build, _open(model, best_config(config), threads)]
    if any(remark.id == FLOAT for remark in remarks):
        runtimes.append(_open(model, replace(best_config(config), precision="float"), threads))
    profile, best, *between = profile_in_turns(runtimes)
    found = [*remarks, *measured(model, build, profile)]
    if samples:
        found += quality_remarks(model, build, samples)
    return share_out(found, profile, best, between[0] if between else None)


def verify(model: Model, config: Config, costs: Costs, threads: int = 1) -> list[Achieved]:
    """Apply each distinct fix, and time the build with and without it, in turns."""
    promises: dict[Config, list[Remark]] = {}
    for remark in costs.remarks:
        if remark.fix:
            promises.setdefault(fixed(config, remark), []).append(remark)
    before = _open(model, config, threads)
    found = []
    for mended, group in promises.items():
        times = _in_turns(before, _open(model, mended, threads))
        promised = sum(remark.cost_ms or 0.0 for remark in group)
        ids = tuple(dict.fromkeys(remark.id for remark in group))
        found.append(Achieved(mended, ids, promised, costs.build.total_ms, *times))
    return found


def _open(model: Model, config: Config, threads: int) -> TVMRuntime:
    from assay.runtimes.tvm import open_compiled

    return open_compiled(model.path, config, threads)


def _in_turns(before: TVMRuntime, after: TVMRuntime) -> tuple[float, float]:
    """Return the median inference of both in ms, run in turns."""
    times: dict[TVMRuntime, list[float]] = {before: [], after: []}
    begun = perf_counter()
    while len(times[after]) <= _TURNS or perf_counter() - begun < _AT_LEAST_S:
        for runtime, taken in times.items():
            runtime.run()  # the other one's data left the caches cold
            started = perf_counter()
            runtime.run()
            taken.append((perf_counter() - started) * 1e3)
    return median(times[before][1:]), median(times[after][1:])
