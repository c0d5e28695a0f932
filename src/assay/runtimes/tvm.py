"""Compiled builds, on TVM's runtime."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from assay.compiler.aligned import aligned_zeros
from assay.compiler.artifact import Manifest, read_artifact
from assay.compiler.config import Config
from assay.compiler.entry_names import ENTRY
from assay.compiler.stored_constants import data_bytes, read_data, unpack
from assay.compiler.team import TEAM_STRIDE
from assay.compiler.tiles import allow_tiles
from assay.errors import ArtifactError, ConfigError
from assay.model.spec import TensorSpec
from assay.runtimes.base import BaseRuntime
from assay.runtimes.checks import check_threads
from assay.runtimes.host import obstacle
from assay.runtimes.huge_pages import use_huge_pages
from assay.runtimes.tvm_library import (
    array_of,
    global_function,
    load_code,
    load_library,
    tensor_of,
    virtual_machine,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from assay.compiler.build import Build


# Of TVM's affinity modes (big cores, little cores, ...), the one that takes the number as it is.
_SIZE_AS_ASKED = 1


Entry = Literal["auto", "vm"]
"""What runs a library: its ahead-of-time entry where it has one, or always the virtual machine."""


class TVMRuntime(BaseRuntime):
    """A loaded module, with tensors that are allocated once; each run overwrites the outputs.

    ``constants`` are those that the manifest lists. It runs through the ahead-of-time entry if the
    library has one, unless ``entry`` is ``vm``.
    """

    def __init__(
        self,
        module: Any,
        manifest: Manifest,
        constants: tuple[npt.NDArray[Any], ...],
        threads: int,
        name: str = "tvm",
        entry: Entry = "auto",
    ) -> None:
        self.name = name
        self.manifest = manifest
        self.inputs: tuple[TensorSpec, ...] = manifest.inputs
        self.outputs: tuple[TensorSpec, ...] = manifest.outputs
        self.threads = use_threads(threads)
        self._module = module
        self._machine = virtual_machine(module)
        self._arrays = [aligned_zeros(spec.shape, spec.dtype) for spec in self.inputs]
        self._constants = constants
        self._tensors = [tensor_of(array) for array in (*self._arrays, *self._constants)]
        self._written: tuple[npt.NDArray[Any], ...] = ()  # by the entry
        self._results: Any = None  # of the virtual machine
        self._ran = False
        self._held: tuple[Any, ...] = ()
        self.ahead_of_time = entry == "auto" and manifest.arena_bytes is not None
        if self.ahead_of_time:
            self._function, self._arguments = self._entry(manifest.arena_bytes or 0)
        else:
            self._function, self._arguments = self._machine["main"], self._tensors

    def run(self) -> None:
        """Run one inference on the inputs set before (zeros where none were)."""
        result = self._function(*self._arguments)
        if not self.ahead_of_time:
            self._results = result
        self._ran = True

    def instrumented(self, hook: Callable[..., int]) -> Callable[[], Any]:
        """Return an inference on the same inputs that calls ``hook`` around each of its calls.

        It gets (function, symbol, whether before, result, *arguments) and returns 0 to go on. It
        runs on a virtual machine of its own: ``run`` stays as fast as it is.
        """
        machine = virtual_machine(self._module)
        machine["set_instrument"](hook)
        main = machine["main"]
        return lambda: main(*self._tensors)

    def _entry(self, arena_bytes: int) -> tuple[Any, list[Any]]:
        """Allocate outputs, arena and what threads share; return the entry and its table."""
        self._written = tuple(aligned_zeros(spec.shape, spec.dtype) for spec in self.outputs)
        arena = aligned_zeros((arena_bytes,), "uint8")
        memory = (*self._arrays, *self._written, *self._constants, arena)
        use_huge_pages((array.ctypes.data, array.nbytes) for array in memory)
        team = aligned_zeros((self.threads * TEAM_STRIDE,), "uint8")
        addresses = [array.ctypes.data for array in memory]
        table = aligned_zeros((len(addresses) + 3,), "uint64")
        table[:] = [*addresses, self.threads, team.ctypes.data, 0]
        self._held = (arena, team)
        return self._module.get_function(ENTRY, query_imports=True), [tensor_of(table)]

    def _write(self, index: int, value: npt.NDArray[Any]) -> None:
        self._arrays[index][...] = value

    def _read(self, index: int) -> npt.NDArray[Any]:
        if not self._ran:
            self.run()
        if self.ahead_of_time:
            return np.array(self._written[index])
        return array_of(self._results if len(self.outputs) == 1 else self._results[index])


def use_threads(threads: int) -> int:
    """Size TVM's thread pool, which all its modules in this process share; return its new size.

    ConfigError if that is below 1, or more than the pool was created for. By default TVM creates
    it for half the cores (taking them for hyper-threads), pins the calling thread and lets workers
    spin for 0.1 s; here it holds all cores, pins nothing and sleeps after 0.1 ms.
    """
    check_threads(threads)
    cores = os.cpu_count() or 1
    os.environ.setdefault("TVM_NUM_THREADS", str(max(threads, cores)))
    os.environ.setdefault("TVM_BIND_THREADS", "0")
    os.environ.setdefault("TVM_THREAD_POOL_SPIN_COUNT", "200")  # half a microsecond each
    global_function("runtime.config_threadpool")(_SIZE_AS_ASKED, threads)
    if (size := int(global_function("runtime.NumThreads")())) != threads:
        raise ConfigError(
            f"TVM's thread pool of this process has {size} threads, not {threads}: set "
            f"TVM_NUM_THREADS={threads} before the first model is loaded"
        )
    return threads


def open_tvm(path: str | Path, threads: int = 1, entry: Entry = "auto") -> TVMRuntime:
    """Load a library that assay compiled, or compile a model for this machine and load that.

    ArtifactError if library and manifest do not fit together, if the library is for another kind
    of machine, or if it does not load.
    """
    library = Path(path)
    if library.suffix != ".so":
        return open_compiled(library, Config(), threads, entry)
    manifest = read_artifact(library)
    _prepare_machine(str(library), manifest)
    try:
        data = read_data(library, data_bytes(manifest.constants))
        constants = unpack(data, manifest.constants)
        module = load_library(library, manifest.library_bytes - data.nbytes)
    except (RuntimeError, OSError, ValueError, TypeError) as error:
        why = str(error).strip().splitlines()[-1]
        raise ArtifactError(f"{library}: cannot be loaded ({why}); compile it again") from error
    return TVMRuntime(module, manifest, constants, threads, entry=entry)


def open_stock(path: str | Path, threads: int = 1) -> TVMRuntime:
    """Compile a model with TVM's own default pipeline and load it: the baseline."""
    return open_compiled(Path(path), Config(pipeline="stock"), threads)


def open_build(
    build: Build, threads: int = 1, name: str = "tvm", entry: Entry = "auto"
) -> TVMRuntime:
    """Run a build from memory, without saving it first; ArtifactError if it is not for here."""
    _prepare_machine(build.manifest.model_name, build.manifest)
    module = load_code(build.executable.library)
    constants = unpack(build.data, build.manifest.constants)
    return TVMRuntime(module, build.manifest, constants, threads, name, entry)


def _prepare_machine(name: str, manifest: Manifest) -> None:
    """Make sure that code runs in this process; ArtifactError if it cannot."""
    reason = next(filter(None, map(obstacle, manifest.needs)), None)
    if reason is not None:
        raise ArtifactError(f"{name}: cannot run here, as {reason}; compile it for --target native")
    if any(needs.tiles for needs in manifest.needs):
        allow_tiles(name)


def open_compiled(
    model: Path, config: Config, threads: int = 1, entry: Entry = "auto"
) -> TVMRuntime:
    """Compile a model, or take its build from the cache, and run it; no library is left behind.

    The runtime is named ``stock`` if TVM's own pipeline made the build. Raises what compiling
    raises, and ArtifactError if the build is not for here.
    """
    from tempfile import TemporaryDirectory

    from assay.cache.builds import compile_to

    with TemporaryDirectory(prefix="assay-") as folder:
        library = Path(folder) / "model.so"
        compile_to(library, model, config)
        runtime = open_tvm(library, threads, entry)
    runtime.name = "stock" if config.pipeline == "stock" else "tvm"
    return runtime
