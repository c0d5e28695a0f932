"""What looking inside costs: TVM's hook timed around kernels that do nothing.

Between the two visits of the hook lies not only the kernel: the machine comes back from Python, and
turns all tensors of the call into Python objects before it goes there again. A kernel that writes
one number shows how much that is, by the number of its tensors; what such a kernel takes without
the hook is not part of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from statistics import median
from time import perf_counter_ns
from typing import Any

_CALLS = 32
_RUNS = 8
_FEW, _MANY = 2, 8  # tensors of a call, the result among them


@dataclass(frozen=True)
class HookCost:
    """Nanoseconds that the hook adds to a call: ``base_ns`` and for each tensor ``tensor_ns``."""

    base_ns: float
    tensor_ns: float

    def of(self, tensors: int) -> float:
        """Return what the hook adds to a call of that many tensors, in ns; never below 0."""
        return max(0.0, self.base_ns + self.tensor_ns * tensors)


class Watch:
    """The hook: notes the time of each call of a kernel, and how many arguments it had."""

    def __init__(self, symbols: set[str]) -> None:
        self._symbols = symbols
        self._started = 0
        self.kernels: list[tuple[str, int]] = []
        self.tensors: list[int] = []

    def begin(self) -> None:
        """Forget all calls: another inference begins."""
        self.kernels, self.tensors = [], []

    def __call__(self, _function: Any, symbol: str, before: bool, _result: Any, *args: Any) -> int:
        """Take the time at the end of the first visit and at the start of the second."""
        now = perf_counter_ns()
        if symbol not in self._symbols:
            return 0
        if before:
            self.tensors.append(len(args))
            self._started = perf_counter_ns()
        else:
            self.kernels.append((symbol, now - self._started))
        return 0


class HookMeter:
    """Measures the hook beside a profile, so that a machine that slows down slows both.

    ``sample`` takes a few milliseconds; ``cost`` is that of all samples so far.
    """

    def __init__(self) -> None:
        self._chains = {tensors: _chain(tensors) for tensors in (_FEW, _MANY)}
        self._added: dict[int, list[float]] = {tensors: [] for tensors in self._chains}

    def sample(self) -> None:
        """Run the chains of idle kernels without the hook and with it."""
        for tensors, (plain, instrumented, watch) in self._chains.items():
            for run in range(_RUNS):
                started = perf_counter_ns()
                plain()
                whole = (perf_counter_ns() - started) / _CALLS
                watch.begin()
                instrumented()
                if run:  # the first one finds cold caches
                    inside = median(taken for _, taken in watch.kernels)
                    self._added[tensors].append(inside - whole)

    def cost(self) -> HookCost:
        """Return what the hook adds to a call: a line through both kinds of chains."""
        few, many = (median(self._added[tensors]) for tensors in (_FEW, _MANY))
        slope = max(0.0, (many - few) / (_MANY - _FEW))
        return HookCost(few - slope * _FEW, slope)


def _chain(tensors: int) -> tuple[Callable[[], Any], Callable[[], Any], Watch]:
    """Return a chain of calls of a kernel that does nothing, without and with a hook."""
    import numpy as np
    import tvm
    from tvm import relax

    from assay.compiler.machine_kernels import IDLE

    value = tvm.runtime.tensor(np.zeros(1, np.float32))
    watch = Watch({IDLE})
    machines = [relax.VirtualMachine(_module(tensors), tvm.cpu()) for _ in range(2)]
    machines[1].set_instrument(watch)
    plain, instrumented = (machine["main"] for machine in machines)
    return lambda: plain(value), lambda: instrumented(value), watch


@lru_cache
def _module(tensors: int) -> Any:
    from assay.compiler.machine_kernels import idle_chain

    return idle_chain(_CALLS, tensors)
