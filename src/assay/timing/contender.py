"""One contender in a process of its own: ``python -m assay.timing.contender FD PARENT CORES``.

Requests come and answers go over the connection ``FD``, JSON objects one at a time; between them
the process blocks on it. It ends when the connection closes, and on Linux with its parent, however
that ends. Only the answer to ``round`` is measured while everybody else is idle.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.errors import AssayError
from assay.processes import OUT_OF_MEMORY, die_with, limit, limits, out_of_memory
from assay.timing import probe
from assay.timing.cores import pin
from assay.timing.record import Compilation, Costs, Round
from assay.timing.sampling import run_for, wait_until_idle, warm_up

if TYPE_CHECKING:
    from assay.runtimes.base import Runtime

# Importing these takes longer than loading a model and happens once, so it is timed apart.
_PACKAGES = {
    "tvm": "assay.runtimes.tvm",
    "litert": "ai_edge_litert.interpreter",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
}

# The median of more would not be better, only the file of raw samples larger.
_MOST_RUNS = 1000


class Worker:
    """Does what the parent asks; each method is a request and returns its answer."""

    def __init__(self) -> None:
        self._runtime: Runtime | None = None
        self._slept_at = (0, 0)
        self._busy: dict[int, int] = {}

    def compile(self, path: str, config: dict[str, Any], library: str) -> dict[str, Any]:
        """Compile a model to a library, or take its build from the cache."""
        from assay.cache.builds import compile_to
        from assay.compiler.config import Config

        # JSON knows no tuples, and a Config has no lists.
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in config.items()
        }
        compiled = compile_to(Path(library), Path(path), Config(**fields))
        found = compiled.manifest
        return asdict(
            Compilation(
                found.compile_s, found.resolved_target, found.resolved_layout, compiled.cached
            )
        )

    def load(self, runtime: str, path: str, threads: int, seed: int) -> dict[str, Any]:
        """Load a model, set random inputs, run it once; return costs and samples of its outputs."""
        from assay.runtimes.registry import open_runtime
        from assay.timing.workload import random_inputs, sample_outputs

        _, import_ms = _timed(lambda: _import(runtime))
        before = probe.memory_bytes("VmRSS")
        weights, check_ms = _timed(lambda: _weights(Path(path)))
        opened, load_ms = _timed(lambda: open_runtime(runtime, path, threads))
        after = probe.memory_bytes("VmHWM")
        for index, value in enumerate(random_inputs(opened.inputs, seed)):
            opened.set_input(index, value)
        _, first_ms = _timed(opened.run)
        self._runtime = opened
        costs = Costs(
            import_ms=import_ms,
            check_ms=None if weights is None else check_ms,
            load_ms=load_ms,
            first_ms=first_ms,
            imported_bytes=before,
            loaded_peak_bytes=after,
            first_peak_bytes=probe.memory_bytes("VmHWM"),
            file_bytes=Path(path).stat().st_size,
            weights_bytes=weights,
        )
        return {
            "costs": asdict(costs),
            "inputs": [spec.shape for spec in opened.inputs],
            "outputs": sample_outputs(opened),
        }

    def warm_up(self, slice_ns: int) -> dict[str, Any]:
        """Run until the times no longer fall."""
        gc.collect()
        gc.freeze()
        gc.disable()
        found = warm_up(self._loaded().run, slice_ns)
        _cpu_until_idle()
        return asdict(found)

    def round(self, time_ns: int) -> dict[str, Any]:
        """Time the runs that fit into ``time_ns``, at most 1,000; return a ``Round``."""
        run = self._loaded().run
        idle_ns = time.perf_counter_ns() - self._slept_at[0]
        idle_cpu_ns = probe.process_time_ns() - self._slept_at[1]
        threads, cpu, wall = probe.thread_times(), probe.process_time_ns(), time.perf_counter_ns()
        run()
        settling_ns = time.perf_counter_ns() - wall
        samples = run_for(run, time_ns, most=_MOST_RUNS)
        wall = time.perf_counter_ns() - wall
        cpu = probe.process_time_ns() - cpu
        waited = self._account(threads)
        spin = _cpu_until_idle()
        return asdict(
            Round(
                settling_ns=settling_ns,
                samples_ns=samples,
                wall_ns=wall,
                cpu_ns=cpu,
                waited_ns=waited,
                spin_cpu_ns=spin,
                idle_ns=idle_ns,
                idle_cpu_ns=idle_cpu_ns,
            )
        )

    def finish(self) -> dict[str, Any]:
        """Return what all rounds used: CPU time of each thread, cores, peak memory."""
        return {
            "busy_ns": sorted(self._busy.values(), reverse=True),
            "cores": probe.thread_cores(),
            "peak_bytes": probe.memory_bytes("VmHWM"),
        }

    def _loaded(self) -> Runtime:
        assert self._runtime is not None
        return self._runtime

    def _account(self, before: dict[int, probe.ThreadTime]) -> int:
        """Add up the CPU time of each thread since ``before``; return the time waited of all."""
        waited = 0
        for thread, now in probe.thread_times().items():
            then = before.get(thread, probe.ThreadTime(0, 0))
            self._busy[thread] = self._busy.get(thread, 0) + now.busy_ns - then.busy_ns
            waited += now.waited_ns - then.waited_ns
        return waited

    def fall_asleep(self) -> None:
        """Note that from now on others run."""
        self._slept_at = (time.perf_counter_ns(), probe.process_time_ns())


def serve(channel: Connection) -> None:
    """Answer requests until the other end is closed; an AssayError is an answer, a bug is not."""
    worker = Worker()
    while True:
        try:
            request = json.loads(channel.recv_bytes())
        except EOFError:
            return
        try:
            answer = getattr(worker, request.pop("do"))(**request)
        except AssayError as error:
            answer = {"error": str(error)}
        except Exception as error:
            if not out_of_memory(error):
                raise
            answer = {"error": OUT_OF_MEMORY}
        channel.send_bytes(json.dumps(answer).encode())
        worker.fall_asleep()


def _timed(call: Any) -> tuple[Any, float]:
    """Return what a call returns, and the milliseconds that it took."""
    started = time.perf_counter_ns()
    value = call()
    return value, (time.perf_counter_ns() - started) / 1e6


def _cpu_until_idle() -> int:
    """Wait until all threads are asleep; return the CPU time in ns that they used until then."""
    before = probe.process_time_ns()
    wait_until_idle()
    return probe.process_time_ns() - before


def _import(runtime: str) -> None:
    """Import what loading needs; a package that is unknown or missing is told on opening."""
    import_module("assay.model.reader")
    with suppress(KeyError, ImportError):
        import_module(_PACKAGES[runtime])
    if runtime == "tvm":
        from assay.runtimes.tvm_library import load_runtime

        load_runtime()


def _weights(path: Path) -> int | None:
    """Return the bytes of a model's constants, None if unknown; checks the file as loading does."""
    if path.suffix == ".so":
        from assay.compiler.artifact import read_artifact

        return read_artifact(path).weights_bytes
    if path.suffix == ".tflite":
        from assay.model.reader import read

        return sum(tensor.size_bytes for tensor in read(path).tensors if tensor.is_constant)
    return None


if __name__ == "__main__":
    die_with(int(sys.argv[2]))
    faulthandler.enable()
    limit(limits())
    # Nothing heavy is imported yet: threads inherit the cores of the one that starts them.
    pin(tuple(int(core) for core in sys.argv[3].split(",") if core))
    serve(Connection(int(sys.argv[1])))
