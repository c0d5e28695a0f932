"""The half of TVM that runs code, without the one that compiles and needs most of the memory.

``import tvm`` brings the compiler, with LLVM in it. A compiled library needs only
``libtvm_runtime``, which the package ``tvm_ffi`` can use on its own. Written for TVM 0.27.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

_CPU = 1  # kDLCPU of DLPack
_POOLED = 2  # the virtual machine's allocator that keeps what was freed


@lru_cache
def load_runtime() -> None:
    """Load TVM's runtime into this process, for all libraries to find; again is fine."""
    from tvm_ffi.libinfo import load_lib_ctypes

    package = find_spec("tvm")
    places = (package.submodule_search_locations or []) if package else []
    folders = [Path(place) / "lib" for place in places]
    load_lib_ctypes("tvm", "tvm_runtime", "RTLD_GLOBAL", extra_lib_paths=folders)


def global_function(name: str) -> Any:
    """Return a function of TVM's runtime by its name."""
    import tvm_ffi

    load_runtime()
    return tvm_ffi.get_global_func(name)


def load_library(path: str | Path, size: int | None = None) -> Any:
    """Load a shared library, the first ``size`` bytes of a file or all of it, as a module;
    anew even if one was loaded from that path before.

    The dynamic loader knows libraries by their path and would hand out the old code for a file
    that was replaced; a link to the file does not help, a copy under a new name does. The library
    is unloaded with the last thing that belongs to the module: TVM's own function keeps all modules
    until the process ends, which would be all of a library for each time that it is loaded.
    """
    with _fresh_file() as copy:
        shutil.copyfile(path, copy)
        if size is not None:
            os.truncate(copy, size)
        return _load(copy)


def load_code(library: bytes) -> Any:
    """Load a shared library as :func:`load_library` does, from memory."""
    with _fresh_file() as file:
        file.write_bytes(library)
        return _load(file)


@contextmanager
def _fresh_file() -> Iterator[Path]:
    with TemporaryDirectory(prefix="assay-") as folder:
        yield Path(folder) / f"{Path(folder).name}.so"


def _load(path: Path) -> Any:
    import tvm_ffi

    load_runtime()
    return tvm_ffi.load_module(str(path), keep_module_alive=False)


def virtual_machine(module: Any) -> Any:
    """Return a Relax virtual machine for this CPU with the functions of a loaded module."""
    load_runtime()
    machine = module["vm_load_executable"]()
    machine["vm_initialization"](_CPU, 0, _POOLED)
    return machine


def tensor_of(array: npt.NDArray[Any]) -> Any:
    """Return a tensor on the memory of an array of :func:`assay.compiler.aligned.aligned_zeros`."""
    import tvm_ffi

    return tvm_ffi.from_dlpack(array)


def array_of(tensor: Any) -> npt.NDArray[Any]:
    """Return an array with a copy of what a tensor holds."""
    import numpy as np

    return np.array(np.from_dlpack(tensor))
