"""Profile compiled libraries: a hook of TVM's virtual machine before and after each call."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from time import perf_counter_ns
from typing import TYPE_CHECKING

import numpy as np

from assay.errors import ArtifactError
from assay.timing.hook import HookCost, HookMeter, Watch
from assay.timing.profile import KernelTime, Profile

if TYPE_CHECKING:
    from assay.runtimes.tvm import TVMRuntime

# Whole and instrumented inferences take turns in blocks; the first of each warms the caches.
_BLOCK, _FEWEST = 10, 3
_BLOCK_NS = 500_000_000  # one of slow inferences is shorter
_BUDGET_NS = 3_000_000_000  # for each build; two blocks are always taken


def profile_tvm(runtime: TVMRuntime, rounds: int = 8) -> Profile:
    """Time each kernel within the inference, on the inputs that were set.

    The hook's own time (see :func:`assay.timing.hook.HookMeter`) is taken off each kernel's.
    ArtifactError if the library makes other calls than its manifest lists.
    """
    return profile_in_turns([runtime], rounds)[0]


def profile_in_turns(runtimes: Sequence[TVMRuntime], rounds: int = 8) -> list[Profile]:
    """Profile several builds in turns, so that a slow minute of the machine is one for all."""
    profilings, meter = [_Profiling(runtime) for runtime in runtimes], HookMeter()
    begun = perf_counter_ns()
    for turn in range(max(2, rounds)):
        if turn > 1 and perf_counter_ns() - begun > _BUDGET_NS * len(profilings):
            break
        for each in profilings:
            each.block()
        meter.sample()
    return [each.result(meter.cost()) for each in profilings]


class _Profiling:
    """Collects blocks of plain and of instrumented inferences of one build."""

    def __init__(self, runtime: TVMRuntime) -> None:
        self._runtime = runtime
        self._watch = Watch({call.symbol for call in runtime.manifest.kernels})
        self._instrumented = runtime.instrumented(self._watch)
        self._whole: list[int] = []
        self._runs: list[list[tuple[str, int]]] = []

    def block(self) -> None:
        """Run a block of whole inferences, then one of as many that are instrumented."""
        whole: list[int] = []
        begun = perf_counter_ns()
        while len(whole) < _FEWEST or (
            len(whole) < _BLOCK and perf_counter_ns() - begun < _BLOCK_NS
        ):
            started = perf_counter_ns()
            self._runtime.run()
            whole.append(perf_counter_ns() - started)
        self._whole += whole[1:]
        for index in range(len(whole)):
            self._watch.begin()
            self._instrumented()
            if index:
                self._runs.append(self._watch.kernels)

    def result(self, cost: HookCost) -> Profile:
        """Return the medians of everything that was run, less what the hook costs."""
        manifest = self._runtime.manifest
        expected = [call.symbol for call in manifest.kernels]
        if any([symbol for symbol, _ in run] != expected for run in self._runs):
            raise ArtifactError(
                f"{manifest.model_name}: the library does not call the kernels that its "
                "manifest lists; compile the model again"
            )
        hook = np.array([cost.of(tensors) for tensors in self._watch.tensors], dtype=np.float64)
        times = np.array([[taken for _, taken in run] for run in self._runs], dtype=np.float64)
        times = np.maximum(times - hook, 0) / 1e6
        low, middle, high = np.percentile(times, [10, 50, 90], axis=0)
        kernels = tuple(
            KernelTime(call, float(middle[i]), float(low[i]), float(high[i]))
            for i, call in enumerate(manifest.kernels)
        )
        return Profile(
            model=manifest.model_name,
            runtime=self._runtime.name,
            threads=self._runtime.threads,
            runs=len(self._runs),
            kernels=kernels,
            total_ms=median(self._whole) / 1e6,
            hook_ms=float(hook.mean()) / 1e6 if len(hook) else 0.0,
        )
