"""Whether this machine can compile, compare and time models, and what would mend it if not."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires
from typing import TYPE_CHECKING, Any, Literal

from assay.timing.machine import PACKAGES, cpu_flags, machine_facts, versions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.compiler.target import Isa

Status = Literal["ok", "missing", "warning"]

PEERS = ("onnxruntime", "openvino")

# apache-tvm-ffi 0.1.15 dies on this with a segmentation fault, hence in another process.
_SMOKE_TEST = "import tvm; tvm.ir.save_json(tvm.tirx.IntImm('int32', 1))"
_SMOKE_TIMEOUT_S = 120

_AVX2 = frozenset({"avx2", "fma"})
_AVX512 = frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl"})
_TILES = frozenset({"amx_tile", "amx_int8"})
_DOT_PRODUCTS: dict[str, frozenset[str]] = {
    "none": frozenset(),
    "vnni512": frozenset({"avx512_vnni"}),
    "vnni256": frozenset({"avx512_vnni", "avx512vl"}),
    "avxvnni": frozenset({"avx_vnni"}),
    "sdot": frozenset({"asimddp"}),
}


@dataclass(frozen=True)
class Row:
    """One finding: ``missing`` is absent or broken, ``warning`` works but costs speed or precision.

    ``fix`` says what to do, where anything can be done. Without an ``optional`` one assay does all
    but compare with that runtime.
    """

    subject: str
    status: Status
    value: str
    fix: str | None = None
    optional: bool = False


@dataclass(frozen=True)
class Diagnosis:
    """All findings, in the order in which they are best read."""

    rows: tuple[Row, ...]

    @property
    def usable(self) -> bool:
        """Whether everything that compiling and running a model needs is there."""
        return all(row.status != "missing" or row.optional for row in self.rows)


def examine() -> Diagnosis:
    """Look at processor, packages and load: takes a few seconds and changes nothing."""
    facts, found = machine_facts(), versions()
    tvm = check_tvm()
    return Diagnosis(
        (
            check_cpu(facts),
            _native_isa() if tvm.status == "ok" else _unknown_isa(),
            tvm,
            *(check_package(name, found.get(name), pinned(name)) for name in PACKAGES),
            check_linker(),
            check_cores(facts),
            check_load(facts),
            check_governor(facts),
        )
    )


def check_cpu(facts: Mapping[str, Any]) -> Row:
    """Name the processor; there is nothing to mend."""
    caches = [facts[key] for key in ("l1d_bytes", "l2_bytes", "l3_bytes")]
    sizes = ", ".join("?" if size is None else f"{size // 1024} KiB" for size in caches)
    where = ", virtual" if facts["virtual"] else ""
    return Row("CPU", "ok", f"{facts['cpu']} ({facts['arch']}{where}; caches {sizes})")


def check_isa(isa: Isa, flags: frozenset[str]) -> Row:
    """Say what ``native`` compiles for, and whether the kernel lets programs use all of it."""
    value = f"{isa.name}: {isa.registers} vector registers of {isa.vector_bits} bits"
    value += "" if isa.dot == "none" else f", dot product {isa.dot}"
    value += ", matrix tiles" if isa.tiles else ""
    hidden = sorted(_features(isa) - flags) if flags else []
    fix = f"compile with --target 'llvm -mcpu={_portable_cpu(flags)}'"
    if hidden:
        value += f", but this machine hides {', '.join(hidden)}"
        return Row("Instruction set", "warning", value, fix)
    if isa.arch == "x86_64" and isa.vector_bits < 256:
        value += ", which is slow"
        return Row("Instruction set", "warning", value, fix if flags >= _AVX2 else None)
    return Row("Instruction set", "ok", value)


def check_tvm(python: str = sys.executable) -> Row:
    """Try in a process of its own whether TVM loads and writes IR as JSON."""
    fix = _install("apache-tvm-ffi")
    try:
        done = subprocess.run(
            [python, "-c", _SMOKE_TEST],
            capture_output=True,
            text=True,
            check=False,
            timeout=_SMOKE_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return Row("TVM", "missing", f"no answer in {_SMOKE_TIMEOUT_S} s", fix)
    if done.returncode == 0:
        return Row("TVM", "ok", "loads and saves its IR")
    if done.returncode < 0:
        return Row("TVM", "missing", f"dies of signal {-done.returncode}", fix)
    reason = done.stderr.strip().splitlines()[-1:] or ["no message"]
    return Row("TVM", "missing", f"does not load: {reason[0]}", fix)


def check_package(name: str, version: str | None, pin: str | None = None) -> Row:
    """Say which version of a package is there and whether it is the one that assay was made for."""
    if version is None and name in PEERS:
        return Row(name, "missing", "not installed", "pip install 'assay[peers]'", optional=True)
    if version is None:
        return Row(name, "missing", "not installed", _install(name))
    if pin not in (None, version):
        return Row(name, "warning", f"{version}, but assay needs {pin}", _install(name))
    return Row(name, "ok", version)


def check_linker() -> Row:
    """Run the linker that turns object files into libraries."""
    from assay.compiler.link import linker

    try:
        done = subprocess.run([*linker(), "--version"], capture_output=True, text=True, check=True)
    except (ImportError, OSError, subprocess.CalledProcessError) as error:
        value = f"LLD of package ziglang does not run: {error}"
        return Row("Linker", "missing", value, _install("ziglang"))
    return Row("Linker", "ok", done.stdout.strip())


def check_cores(facts: Mapping[str, Any]) -> Row:
    """Count the cores that threads can run on."""
    usable, quota = facts["usable_cores"], facts["quota_cores"]
    value = f"{usable} of {facts['logical_cores']}, {facts['physical_cores'] or '?'} physical"
    if quota is not None and quota < usable:
        fix = f"lift the container's CPU limit, or measure with --threads {max(1, int(quota))}"
        return Row("Cores", "warning", f"{value}, throttled to {quota:g}", fix)
    return Row("Cores", "ok", value)


def check_load(facts: Mapping[str, Any]) -> Row:
    """Warn if other programs keep cores busy: they share caches and clock with what is timed."""
    load = facts["load_average"][0]
    value = f"{load:.2f} in the last minute"
    if load > 0.5 * facts["usable_cores"]:
        return Row("Load", "warning", value, "end other programs before timing")
    return Row("Load", "ok", value)


def check_governor(facts: Mapping[str, Any]) -> Row:
    """Warn if the clock follows the load, which makes short runs slower than long ones."""
    policy = facts["governor"]
    if policy is None:
        return Row("Clock", "ok", "policy not known, as on most virtual machines")
    if policy == "performance":
        return Row("Clock", "ok", policy)
    return Row("Clock", "warning", policy, "sudo cpupower frequency-set --governor performance")


def pinned(name: str) -> str | None:
    """Return the only version of a package that assay's own requirements allow, if they do so."""
    return _requirement(name).partition("==")[2] or None


def _native_isa() -> Row:
    from assay.compiler.target import resolve_target

    return check_isa(resolve_target("native").isa, cpu_flags())


def _unknown_isa() -> Row:
    return Row("Instruction set", "missing", "not known until TVM works")


def _features(isa: Isa) -> frozenset[str]:
    """Return what kernels for ``isa`` use, by the names that the Linux kernel gives it."""
    features = _DOT_PRODUCTS[isa.dot]
    if isa.arch == "x86_64" and isa.vector_bits >= 256:
        features |= _AVX2 if isa.fma else {"avx2"}
    if isa.arch == "x86_64" and isa.vector_bits >= 512:
        features |= _AVX512 | (_TILES if isa.tiles else frozenset())
    return features


def _portable_cpu(flags: frozenset[str]) -> str:
    """Return LLVM's name of the most capable generic CPU whose features are all in ``flags``."""
    if "asimd" in flags:
        return "generic"
    if flags >= _AVX2 | _AVX512:
        return "x86-64-v4"
    return "x86-64-v3" if flags >= _AVX2 else "x86-64-v2"


def _install(name: str) -> str:
    if name == "assay":
        return "pip install . in the folder that holds assay's pyproject.toml"
    return f"pip install '{_requirement(name)}'"


def _requirement(name: str) -> str:
    """Return how assay's metadata asks for a package; the bare name where they do not."""
    try:
        wanted = requires("assay") or []
    except PackageNotFoundError:
        return name
    lines = (line.partition(";")[0].strip() for line in wanted)
    return next((line for line in lines if re.split("[ <>=!~]", line)[0] == name), name)
