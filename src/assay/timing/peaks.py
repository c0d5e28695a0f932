"""What this machine can do at best: operations and bytes a second, measured once and kept.

The roofs of a roofline (Williams, Waterman and Patterson, "Roofline: an insightful visual
performance model for multicore architectures", CACM 52(4), 2009). The kernels are made by TVM as
all others are, so what they reach is what a kernel of a build could reach.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from math import inf
from time import perf_counter_ns
from typing import TYPE_CHECKING

from assay.cpu import cache_bytes, cpu_identity, cpu_model

if TYPE_CHECKING:
    from assay.compiler.machine_kernels import PeakKernel

VERSION = 2
_TRIES = 40
_NS = 2_000_000  # what one try takes about: short enough to fall between other programs' turns
_TURNS = 100_000  # of peaks of operations: a millisecond or two
_MEMORY_BYTES = 128 << 20


@dataclass(frozen=True)
class Peaks:
    """The fastest that was seen with that many threads: billions of operations or bytes a second.

    A multiply-accumulate counts as two operations. ``gops8`` multiplies 8-bit integers. Bytes are
    read, from data that fit into the L2 cache, the L3 cache, or neither; the sizes are those of
    the caches, a core's L2 and the whole L3.
    """

    cpu: str
    threads: int
    gflops: float
    gops8: float
    l2_gbps: float
    l3_gbps: float
    memory_gbps: float
    l2_bytes: int
    l3_bytes: int

    def operations(self, dtype: str) -> float:
        """Return the peak of operations a second (billions) on values of a dtype."""
        return self.gops8 if dtype in ("int8", "uint8") else self.gflops

    def level(self, moved_bytes: int) -> str:
        """Return where data of that size lie if they are used again and again."""
        if moved_bytes <= self.l2_bytes * self.threads:
            return "L2"
        return "L3" if moved_bytes <= self.l3_bytes else "memory"

    def bandwidth(self, moved_bytes: int) -> float:
        """Return the billions of bytes a second at which data of that size can be read."""
        rates = {"L2": self.l2_gbps, "L3": self.l3_gbps, "memory": self.memory_gbps}
        return rates[self.level(moved_bytes)]


def peaks(threads: int = 1) -> Peaks:
    """Return the machine's peaks: from the cache, or measured, which takes a few seconds.

    They are kept with the cache of builds, by the processor and the number of threads.
    """
    from assay.cache.store import CacheUnusable, Store, default_folder

    folder = default_folder()
    if folder is None:
        return measure_peaks(threads)
    store, key = Store(folder), _key(threads)
    with suppress(CacheUnusable, ValueError, TypeError, KeyError):
        if files := store.get(key):
            return Peaks(**json.loads(files["peaks.json"]))
    found = measure_peaks(threads)
    with suppress(CacheUnusable):
        store.put(key, {"peaks.json": json.dumps(asdict(found)).encode()})
    return found


def measure_peaks(threads: int = 1) -> Peaks:
    """Measure all peaks, each as the best of some tries."""
    from assay.compiler.machine_kernels import float_peak, integer_peak, read_peak
    from assay.compiler.target import resolve_target
    from assay.runtimes.tvm import use_threads

    use_threads(threads)
    isa = resolve_target("native").isa
    l2 = cache_bytes(2) or isa.l2_bytes
    l3 = cache_bytes(3) or 4 * l2
    # Half a cache is sure to stay in it; four times a cache is sure not to, within reason.
    sizes = (l2 // 2 * threads, max(l3 // 2, 2 * l2), min(4 * l3, _MEMORY_BYTES))

    def rate(size: int) -> float:
        once = _time(read_peak(isa, threads, size, 1), 3)
        return _best(read_peak(isa, threads, size, max(1, round(_NS / once))))

    return Peaks(
        cpu=cpu_model() or isa.name,
        threads=threads,
        gflops=_best(float_peak(isa, threads, _TURNS)),
        gops8=_best(integer_peak(isa, threads, _TURNS)),
        l2_gbps=rate(sizes[0]),
        l3_gbps=rate(sizes[1]),
        memory_gbps=rate(sizes[2]),
        l2_bytes=l2,
        l3_bytes=l3,
    )


def _best(kernel: PeakKernel) -> float:
    return kernel.work / _time(kernel, _TRIES)


def _time(kernel: PeakKernel, tries: int) -> float:
    """Return the shortest of some runs, in ns."""
    import numpy as np
    import tvm

    from assay.compiler.machine_kernels import build

    run = build(kernel)
    tensors = [tvm.runtime.tensor(np.ones(s, d)) for s, d in kernel.parameters]
    best = inf
    for _ in range(tries):
        started = perf_counter_ns()
        run(*tensors)
        best = min(best, perf_counter_ns() - started)
    return best


def _key(threads: int) -> str:
    facts = {"peaks": VERSION, "threads": threads, **cpu_identity()}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
