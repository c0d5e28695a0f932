"""What assay's own runtime adds to an inference: ``python -m benchmarks.overhead``.

The model is a single addition of four numbers, so that nearly all of a call is overhead: of the
library's ahead-of-time entry when it is called as it is, of assay's runtime on top of that, and of
TVM's virtual machine where it runs the same library.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from assay.compiler.build import compile_model
from assay.compiler.config import Config
from assay.model.reader import read
from assay.runtimes.tvm import open_tvm
from tests.builder import GraphBuilder


@dataclass(frozen=True)
class Overhead:
    """Microseconds of one call: minimum and median over all repetitions."""

    bare_us: tuple[float, float]
    run_us: tuple[float, float]
    call_us: tuple[float, float]
    machine_us: tuple[float, float]

    @property
    def added_us(self) -> float:
        """What ``run`` adds to the bare call, by their minima."""
        return self.run_us[0] - self.bare_us[0]


def measure(folder: Path, repetitions: int = 2000) -> Overhead:
    """Time the entry, ``run``, a call with copies in and out, and the virtual machine, in turns."""
    graph = GraphBuilder()
    x = graph.input("x", (1, 4))
    graph.output(graph.op("ADD", [x, x], (1, 4), output="y"))
    model, library = folder / "add.tflite", folder / "add.so"
    model.write_bytes(graph.build())
    compile_model(read(model), Config(opt_level=3)).save(library)
    runtime, machine = open_tvm(library), open_tvm(library, entry="vm")
    value = np.ones((1, 4), np.float32)
    runtime.set_input(0, value)
    entry, arguments = runtime._function, runtime._arguments
    calls: tuple[Callable[[], Any], ...] = (
        lambda: entry(*arguments),
        runtime.run,
        lambda: runtime(value),
        machine.run,
    )
    taken: tuple[list[int], ...] = ([], [], [], [])
    for _ in range(repetitions):
        for call, times in zip(calls, taken, strict=True):
            before = time.perf_counter_ns()
            call()
            times.append(time.perf_counter_ns() - before)
    return Overhead(*((min(times) / 1e3, median(times) / 1e3) for times in taken))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=20000)
    with TemporaryDirectory() as folder:
        found = measure(Path(folder), parser.parse_args().repetitions)
    for name, (least, middle) in (
        ("entry", found.bare_us),
        ("run()", found.run_us),
        ("call with copies", found.call_us),
        ("virtual machine", found.machine_us),
    ):
        print(f"{name:18} min {least:7.2f} us   median {middle:7.2f} us")
    print(f"run() adds {found.added_us:.2f} us")


if __name__ == "__main__":
    main()
