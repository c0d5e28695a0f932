"""The machine and the software that a measurement belongs to."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from assay import cpu
from assay.cpu import ROOT, cpu_flags, usable_cores

__all__ = ["RELEVANT_FLAGS", "cpu_flags", "machine_facts", "usable_cores", "versions"]

# Those that decide which kernels run, by the kernel's names, the oldest first.
RELEVANT_FLAGS = (
    *("sse2", "ssse3", "sse4_1", "sse4_2", "avx", "f16c", "fma", "avx2", "avx_vnni"),
    *("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni", "avx512_bf16"),
    *("amx_tile", "amx_int8", "amx_bf16"),
    *("asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2"),
)

PACKAGES = (
    "assay",
    "apache-tvm",
    "apache-tvm-ffi",
    "ai-edge-litert",
    "numpy",
    "onnxruntime",
    "openvino",
)


def machine_facts(root: Path = ROOT) -> dict[str, Any]:
    """Return what of this machine decides how fast a model runs; JSON can hold all of it.

    Caches are in bytes, of one core or as that core shares them. ``usable_cores`` are those that
    this process may run on, ``quota_cores`` how many of them a container may keep busy. What cannot
    be told is None.
    """
    flags = cpu_flags(root)
    return {
        "cpu": cpu.cpu_model(root),
        "vendor": cpu.cpu_vendor(root),
        "arch": platform.machine(),
        "flags": [flag for flag in RELEVANT_FLAGS if flag in flags],
        "virtual": "hypervisor" in flags if "sse2" in flags else None,  # only x86 tells
        "physical_cores": cpu.physical_cores(root),
        "logical_cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "quota_cores": _quota_cores(root),
        "l1d_bytes": cpu.cache_bytes(1, root),
        "l2_bytes": cpu.cache_bytes(2, root),
        "l3_bytes": cpu.cache_bytes(3, root),
        "governor": cpu.governor(root),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load_average": list(os.getloadavg()),
        "os": _os_name(),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """Return the version of each package that a measurement depends on and that is installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.platform()


def _quota_cores(root: Path) -> float | None:
    """Return the share of CPU time that the control group grants (version 2, else version 1)."""
    groups = root / "sys/fs/cgroup"
    limit = cpu.text(groups / "cpu.max")
    if limit is None:
        quota = cpu.text(groups / "cpu/cpu.cfs_quota_us")
        limit = f"{quota} {cpu.text(groups / 'cpu/cpu.cfs_period_us')}"
    quota, period = limit.split()
    if quota in ("max", "-1", "None"):
        return None
    return int(quota) / int(period)
