"""Whether a long life costs anything: ``python -m benchmarks.soak``.

One process runs a model very often, then loads, runs and closes it again and again. Memory has to
stay flat after a warm-up, and no file descriptor or thread may be left. Exit code 1 if not.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import assay
from assay.data import DIGITS_FP32
from assay.runtimes.base import Runtime

INFERENCES, CYCLES = 100_000, 200
WARM_UP = 0.1  # share of the repetitions after which memory has to be flat
MOST_GROWTH = 0.02


@dataclass(frozen=True)
class State:
    """What the process holds: resident bytes, open file descriptors, threads."""

    rss_bytes: int
    descriptors: int
    threads: int


@dataclass(frozen=True)
class Soak:
    """What ``count`` repetitions changed from the end of the warm-up to the end."""

    what: str
    count: int
    before: State
    after: State

    @property
    def growth(self) -> float:
        """How much larger the resident memory is in the end, as a share."""
        return self.after.rss_bytes / self.before.rss_bytes - 1

    @property
    def flat(self) -> bool:
        """Whether nothing is left and memory grew by at most ``MOST_GROWTH``."""
        kept = (self.after.descriptors, self.after.threads)
        return self.growth <= MOST_GROWTH and kept == (self.before.descriptors, self.before.threads)


def state() -> State:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return State(
        rss_bytes=pages * os.sysconf("SC_PAGE_SIZE"),
        descriptors=len(list(Path("/proc/self/fd").iterdir())),
        threads=len(list(Path("/proc/self/task").iterdir())),
    )


def soak(what: str, once: Callable[[], object], count: int) -> Soak:
    """Repeat something; look at the process after the warm-up and at the end."""
    warm = max(1, round(count * WARM_UP))
    for _ in range(warm):
        once()
    before = state()
    for _ in range(count - warm):
        once()
    return Soak(what, count, before, state())


def measure(library: Path, inferences: int, cycles: int) -> list[Soak]:
    """Soak one loaded model, then loading and closing it."""
    rng = np.random.default_rng(0)
    runtime = assay.load(library)
    values = [rng.random(spec.shape).astype(spec.dtype) for spec in runtime.inputs]

    def infer(loaded: Runtime = runtime) -> object:
        return loaded(*values)

    def cycle() -> None:
        loaded = assay.load(library)
        infer(loaded)
        loaded.close()

    return [soak("inferences", infer, inferences), soak("load and close", cycle, cycles)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=DIGITS_FP32)
    parser.add_argument("--inferences", type=int, default=INFERENCES)
    parser.add_argument("--cycles", type=int, default=CYCLES)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        library = Path(folder) / "model.so"
        assay.compile(options.model).save(library)
        found = measure(library, options.inferences, options.cycles)
    for each in found:
        print(
            f"{each.count:,} {each.what}: {each.before.rss_bytes / 1e6:.1f} to "
            f"{each.after.rss_bytes / 1e6:.1f} MB ({each.growth:+.2%}), descriptors "
            f"{each.before.descriptors} to {each.after.descriptors}, threads "
            f"{each.before.threads} to {each.after.threads}: {'flat' if each.flat else 'GROWS'}"
        )
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(each) for each in found], indent=2) + "\n")
    sys.exit(not all(each.flat for each in found))


if __name__ == "__main__":
    main()
