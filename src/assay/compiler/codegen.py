"""Code generation: TVM's last passes, then LLVM, in parts that all cores work on side by side.

Written for TVM 0.27, as :mod:`assay.compiler.tvm_api`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tvm
import tvm_ffi
from tvm import relax, s_tir, tirx
from tvm.relax import vm_build

from assay.compiler.link import link_shared
from assay.cpu import usable_cores

_STACK_BYTES = 8 << 20
_MOST_PARTS = 4
_PART_STATEMENTS = 1000
"""What a part has at least, half a second of LLVM's time: each costs a few hundredths by itself."""


@dataclass(frozen=True)
class EntryMaker:
    """What to do with some kernels of a module just before their calling convention is fixed.

    ``make`` takes the kernels by their variables and returns the functions that replace them. Those
    without a symbol get their variable's name as one, are plain functions of C, and may be called
    from any part of the library; the linker hides them.
    """

    kernels: frozenset[str]
    make: Callable[[dict[Any, Any]], dict[Any, Any]]


class Executable:
    """What the virtual machine executes, and code of kernels in parts that are to be linked."""

    def __init__(self, machine: Any, parts: Sequence[Any]) -> None:
        """``machine`` has one part in it, ``parts`` are the others."""
        self._machine = machine
        self._parts = parts

    def as_text(self) -> str:
        """Return the virtual machine's instructions."""
        return str(self._machine.as_text())

    def jit(self) -> Any:
        """Return a module that runs right away; only if there are no other parts."""
        assert not self._parts
        return self._machine.jit()

    @cached_property
    def library(self) -> bytes:
        """The shared library."""
        with TemporaryDirectory(prefix="assay-") as folder, _threads() as pool:
            objects = [str(Path(folder) / f"part{index}.o") for index in range(len(self._parts))]
            pairs = zip(self._parts, objects, strict=True)
            written = [pool.submit(part.write_to_file, path) for part, path in pairs]

            def link(output: str, own: Sequence[str], **_unused: Any) -> None:
                for each in written:  # all were begun before, so none waits for this thread
                    each.result()
                link_shared(output, [*own, *objects])

            path = Path(folder) / "linked.so"
            pool.submit(self._machine.export_library, str(path), fcompile=link).result()
            return path.read_bytes()


def build_executable(mod: Any, target: Any, entry: EntryMaker | None = None) -> Executable:
    """Generate code for a module that :func:`assay.compiler.tvm_api.lowering_passes` went over.

    ``entry`` is given the kernels that its functions are to replace. Only with one there are parts:
    without, nothing hides what calls go from one to another.
    """
    builder = relax.ExecBuilder()
    kernels = vm_build._filter_tir(vm_build._vmcodegen(builder, mod))
    library, *others = _generate(kernels or tvm.IRModule({}), target, entry)
    machine = vm_build._ffi_api.VMLink(builder, target, library, [], {})
    return Executable(relax.VMExecutable(machine), others)


def build_kernels(mod: Any, target: Any) -> Any:
    """Generate code for a module of kernels alone, as :func:`build_executable` does."""
    return _generate(mod, target, None)[0]


def _generate(mod: Any, target: Any, entry: EntryMaker | None) -> list[Any]:
    """Do what ``tvm.tirx.build`` does for one CPU, with own passes and in parts."""
    host = target.host or target
    mod = tirx.transform.BindTarget(target.with_host(host))(mod)
    run, finalize, _ = _kernel_pipeline(entry)
    mod = finalize()(run(mod))
    functions = {str(variable.name_hint): variable for variable in mod.get_global_vars()}
    if entry:
        parts = share_out({name: _statements(mod[each]) for name, each in functions.items()})
    else:
        parts = [list(functions)]
    llvm = tvm.get_global_func("target.build.llvm")

    def generate(part: list[str]) -> Any:
        chosen = {functions[name]: mod[functions[name]] for name in part}
        return llvm(tvm.IRModule(chosen, attrs=mod.attrs), host)

    with _threads() as pool:
        return list(pool.map(generate, parts))


def share_out(statements: dict[str, int]) -> list[list[str]]:
    """Return functions in parts of about equal size, from the number of each one's statements.

    The parts depend on nothing else: not on this machine, nor on the order.
    """
    count = min(max(sum(statements.values()) // _PART_STATEMENTS, 1), _MOST_PARTS)
    parts: list[list[str]] = [[] for _ in range(count)]
    sizes = [0] * count
    for name in sorted(statements, key=lambda each: (-statements[each], each)):
        least = sizes.index(min(sizes))
        parts[least].append(name)
        sizes[least] += statements[name]
    return parts


def _statements(function: Any) -> int:
    """Count what LLVM's time grows with, in kernels that are unrolled already."""
    found = 0

    def count(_statement: Any, _visitor: Any) -> None:
        nonlocal found
        found += 1

    tvm_ffi.structural_visit(function.body, ((tirx.BufferStore, tirx.Bind), count))
    return found


@contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    """Give a thread for each core; TVM lets go of Python's lock while LLVM works."""
    before = threading.stack_size(_STACK_BYTES)
    try:
        with ThreadPoolExecutor(usable_cores()) as pool:
            yield pool
    finally:
        threading.stack_size(before)


def _with_symbol(variable: Any, function: Any) -> Any:
    if function.attrs.get("global_symbol"):
        return function
    return function.with_attr("global_symbol", str(variable.name_hint))


def _kernel_pipeline(entry: EntryMaker | None) -> tuple[Any, Any, Any]:
    """TVM's pipeline for loops that were scheduled, a short one for those written as they run.

    Half the time of compiling a kernel goes into passes that can change nothing in it (compacting
    buffers, hoisting conditions), or nothing that LLVM does not do (common subexpressions).
    """
    usual, finalize_host, finalize_device = tirx.get_tir_pipeline("s_tir")
    short = tvm.transform.Sequential(
        [
            s_tir.transform.ConvertBlocksToOpaque(),
            s_tir.transform.LowerOpaqueBlock(),
            tirx.transform.FlattenBuffer(),
            tirx.transform.StmtSimplify(),
            tirx.transform.VerifyMemory(),
            tirx.transform.AnnotateEntryFunc(),
            tirx.transform.SplitHostDevice(),
            tirx.transform.MakePackedAPI(),
        ]
    )

    legalize = [tirx.transform.FP8StorageLegalize(), tirx.transform.BF16StorageLegalize()]

    @tvm.transform.module_pass(opt_level=0, name="LowerKernels")
    def run(mod: Any, _context: Any) -> Any:
        lowered = mod.clone()
        held: dict[Any, Any] = {}
        for passes, own in ((short, True), (usual, False)):
            part = {
                var: function
                for var, function in mod.functions_items()
                if bool((function.attrs or {}).get("assay.kernel")) == own
            }
            kept = {v: f for v, f in part.items() if entry and str(v.name_hint) in entry.kernels}
            if kept:  # a function without a symbol is given no calling convention
                private = {var: f.without_attr("global_symbol") for var, f in kept.items()}
                with tvm.transform.PassContext(disabled_pass=[p.info.name for p in legalize]):
                    held.update(passes(tvm.IRModule(private)).functions_items())
            if rest := {var: f for var, f in part.items() if var not in kept}:
                lowered.update(passes(tvm.IRModule(rest)))
        if entry and held:
            ends = tvm.transform.Sequential([tirx.transform.MakePackedAPI(), *legalize])
            made = ends(tvm.IRModule(entry.make(held)))
            lowered.update({var: _with_symbol(var, f) for var, f in made.functions_items()})
        return lowered

    return run, finalize_host, finalize_device
