"""Profile a compiled library: a hook of TVM's virtual machine before and after each call."""

from __future__ import annotations

from statistics import median
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.errors import ArtifactError
from assay.timing.profile import KernelTime, Profile

if TYPE_CHECKING:
    from assay.runtimes.tvm import TVMRuntime

# Whole and instrumented inferences take turns in blocks; the first of each warms the caches.
_BLOCK = 10
_BUDGET_NS = 3_000_000_000


class _Watch:
    """The hook: notes the time of each call of a kernel, and of the machine's own functions."""

    def __init__(self, symbols: set[str]) -> None:
        self._symbols = symbols
        self._started = 0
        self.kernels: list[tuple[str, int]] = []
        self.others: dict[str, list[int]] = {}

    def __call__(self, _function: Any, symbol: str, before: bool, _result: Any, *_args: Any) -> int:
        """Take the time at the end of the first visit and at the start of the second."""
        now = perf_counter_ns()
        if before:
            self._started = perf_counter_ns()
        elif symbol in self._symbols:
            self.kernels.append((symbol, now - self._started))
        else:
            self.others.setdefault(symbol, []).append(now - self._started)
        return 0


def profile_tvm(runtime: TVMRuntime, rounds: int = 8) -> Profile:
    """Time each kernel within the inference, on the inputs that were set.

    The hook's own time is that of the cheapest of the machine's functions, which do next to
    nothing, and is taken off each kernel's. ArtifactError if the library makes other calls than its
    manifest lists.
    """
    calls = runtime.manifest.kernels
    watch = _Watch({call.symbol for call in calls})
    instrumented = runtime.instrumented(watch)
    whole: list[int] = []
    runs: list[list[tuple[str, int]]] = []
    begun = perf_counter_ns()
    for turn in range(max(2, rounds)):
        if turn > 1 and perf_counter_ns() - begun > _BUDGET_NS:
            break
        for _ in range(_BLOCK):
            started = perf_counter_ns()
            runtime.run()
            whole.append(perf_counter_ns() - started)
        del whole[-_BLOCK]
        for index in range(_BLOCK):
            watch.kernels = []
            instrumented()
            if index:
                runs.append(watch.kernels)
    expected = [call.symbol for call in calls]
    if any([symbol for symbol, _ in run] != expected for run in runs):
        raise ArtifactError(
            f"{runtime.manifest.model_name}: the library does not call the kernels that its "
            "manifest lists; compile the model again"
        )
    hook = min((median(times) for times in watch.others.values()), default=0)
    times = np.array([[taken for _, taken in run] for run in runs], dtype=np.float64) - hook
    low, middle, high = np.percentile(np.maximum(times, 0) / 1e6, [10, 50, 90], axis=0)
    kernels = tuple(
        KernelTime(call, float(middle[i]), float(low[i]), float(high[i]))
        for i, call in enumerate(calls)
    )
    return Profile(
        model=runtime.manifest.model_name,
        runtime=runtime.name,
        threads=runtime.threads,
        runs=len(runs),
        kernels=kernels,
        total_ms=median(whole) / 1e6,
        hook_ms=hook / 1e6,
    )
