"""GFLOP/s of 1x1 convolutions against an instruction set's peak: ``python -m benchmarks.gemm``.

The peak is that of registers alone, compiled for the same target (``float_peak``). Peak and layer
run in turns on one thread, hot; the shapes are those of common networks. As in builds, arrays lie
on huge pages.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from math import exp, inf, log, prod
from time import perf_counter_ns
from typing import Any

import numpy as np
import tvm

from assay.compiler.codegen import build_kernels
from assay.compiler.kernels import pointwise
from assay.compiler.kernels.problem import Conv2d
from assay.compiler.machine_kernels import float_peak
from assay.compiler.target import resolve_target
from assay.runtimes.huge_pages import use_huge_pages
from assay.runtimes.tvm import use_threads

SHAPES = (
    *((112, 32, 16), (56, 24, 144), (28, 192, 32), (28, 32, 192), (14, 384, 64)),
    *((14, 96, 576), (14, 256, 1024), (7, 160, 960), (7, 960, 320), (7, 512, 2048)),
)
"""Side of the image, input channels, output channels."""
PAGE_FLOATS = 1 << 10
HUGE_PAGE_FLOATS = 1 << 19


def caller(function: Any, shapes: list[tuple[int, ...]], target: str) -> Callable[[], Any]:
    """Compile a kernel and return a call of it on arrays of ones."""
    name = str(function.attrs["global_symbol"])
    built = build_kernels(tvm.IRModule({name: function}), resolve_target(target).tuned())
    run = built[name]
    tensors = on_huge_pages(shapes)
    return lambda: run(*tensors)


def on_huge_pages(shapes: list[tuple[int, ...]]) -> list[Any]:
    """Return tensors of ones, as float32, side by side in memory that is on huge pages."""
    sizes = [-(-prod(shape) // PAGE_FLOATS) * PAGE_FLOATS for shape in shapes]
    memory = np.ones(sum(sizes) + 2 * HUGE_PAGE_FLOATS, np.float32)
    use_huge_pages([(memory.ctypes.data, memory.nbytes)])
    first = -memory.ctypes.data // 4 % HUGE_PAGE_FLOATS
    starts = [first + sum(sizes[:index]) for index in range(len(sizes))]
    parts = [memory[at : at + prod(shape)] for at, shape in zip(starts, shapes, strict=True)]
    pairs = zip(parts, shapes, strict=True)
    return [tvm.runtime.from_dlpack(part.reshape(shape)) for part, shape in pairs]


def shortest_ns(calls: list[Callable[[], Any]], tries: int) -> list[float]:
    """Return the shortest time of each call; they take turns."""
    best = [inf] * len(calls)
    for _ in range(tries):
        for index, call in enumerate(calls):
            started = perf_counter_ns()
            call()
            best[index] = min(best[index], perf_counter_ns() - started)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", default="llvm -mcpu=core-avx2")
    parser.add_argument("--tries", type=int, default=200)
    options = parser.parse_args()
    use_threads(1)
    isa = resolve_target(options.target).isa
    roof = float_peak(isa, 1, 10_000)
    calls = [caller(roof.function, [shape for shape, _ in roof.parameters], options.target)]
    work = [float(roof.work)]
    for side, in_c, out_c in SHAPES:
        problem = Conv2d(1, side, side, in_c, side, side, out_c, 1, 1)
        packed = pointwise.pack(problem, isa, np.ones(problem.weights_shape, np.float32))
        shapes = [problem.input_shape, packed.shape, problem.output_shape]
        calls.append(caller(pointwise.generate(problem, isa, "layer"), shapes, options.target))
        work.append(float(problem.flops))
    peak, *rates = (w / ns for w, ns in zip(work, shortest_ns(calls, options.tries), strict=True))
    print(f"peak {peak:.1f} GFLOP/s, {options.target}")
    for (side, in_c, out_c), rate in zip(SHAPES, rates, strict=True):
        print(f"{side:4} x {side:<4} {in_c:4} -> {out_c:<4} {rate:7.1f} {rate / peak:6.1%}")
    mean = exp(sum(log(rate / peak) for rate in rates) / len(rates))
    print(f"geometric mean {mean:.1%}, least {min(rates) / peak:.1%}")


if __name__ == "__main__":
    main()
