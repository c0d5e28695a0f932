"""What the processor is, from Linux' own description of it.

``root`` is the directory that ``proc`` and ``sys`` are in; where they are absent, the facts that
only they know are None or empty.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

ROOT = Path("/")

# CPU part numbers of Arm's own designs (MIDR_EL1, in each core's reference manual).
_ARM_CORES = {
    "0xd03": "Cortex-A53",
    "0xd04": "Cortex-A35",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd09": "Cortex-A73",
    "0xd0a": "Cortex-A75",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
    "0xd40": "Neoverse-V1",
    "0xd41": "Cortex-A78",
    "0xd49": "Neoverse-N2",
    "0xd4f": "Neoverse-V2",
}
_IMPLEMENTERS = {
    "0x41": "Arm",
    "0x46": "Fujitsu",
    "0x48": "HiSilicon",
    "0x4e": "NVIDIA",
    "0x51": "Qualcomm",
    "0x61": "Apple",
    "0xc0": "Ampere",
}

_IDENTITY = (
    *("vendor_id", "cpu family", "model", "model name", "stepping", "flags"),
    *("CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision"),
    "Features",
)


def cpu_flags(root: Path = ROOT) -> frozenset[str]:
    """Return the features that the kernel lets programs use, by its names; empty if not known."""
    first = next(iter(_processors(root)), {})
    return frozenset((first.get("flags") or first.get("Features") or "").split())


def cpu_model(root: Path = ROOT) -> str:
    """Return the name under which the processor is sold, or the nearest to it that is known."""
    processors = _processors(root)
    for processor in processors:
        if processor.get("model name"):
            return processor["model name"]
    cores = dict.fromkeys(_arm_core(processor) for processor in processors)
    names = [core for core in cores if core is not None]
    return " + ".join(names) or platform.processor() or platform.machine()


def cpu_identity(root: Path = ROOT) -> dict[str, str]:
    """Return what the kernel tells of the first processor and does not change while it runs.

    Features are among it (``flags``, on Arm ``Features``), in their order.
    """
    first = next(iter(_processors(root)), {})
    return {name: first[name] for name in _IDENTITY if name in first}


def cpu_vendor(root: Path = ROOT) -> str | None:
    """Return the maker of the processor, as it calls itself."""
    first = next(iter(_processors(root)), {})
    implementer = first.get("CPU implementer", "")
    return first.get("vendor_id") or _IMPLEMENTERS.get(implementer) or None


def physical_cores(root: Path = ROOT) -> int | None:
    """Return the number of cores, those that share one by hyper-threading counted once."""
    lists = _cpus(root).glob("cpu[0-9]*/topology/thread_siblings_list")
    return len({path.read_text().strip() for path in lists}) or None


def cache_bytes(level: int, root: Path = ROOT) -> int | None:
    """Return the size of the first core's data or unified cache at ``level``, in bytes."""
    for index in sorted(_cpus(root).glob("cpu0/cache/index[0-9]*")):
        if text(index / "level") == str(level) and text(index / "type") in ("Data", "Unified"):
            return _bytes(text(index / "size"))
    return None


def governor(root: Path = ROOT) -> str | None:
    """Return the frequency policy of the first core, such as ``performance`` or ``powersave``."""
    return text(_cpus(root) / "cpu0/cpufreq/scaling_governor")


def usable_cores() -> int:
    """Return how many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def text(path: Path) -> str | None:
    """Return a small file's content without surrounding space, None if it cannot be read."""
    try:
        return path.read_text().strip()
    except OSError:
        return None


def _cpus(root: Path) -> Path:
    return root / "sys/devices/system/cpu"


def _processors(root: Path) -> list[dict[str, str]]:
    blocks = (text(root / "proc/cpuinfo") or "").split("\n\n")
    return [
        {key.strip(): value.strip() for key, _, value in map(_split, block.splitlines())}
        for block in blocks
        if block.strip()
    ]


def _split(line: str) -> tuple[str, str, str]:
    return line.partition(":")


def _arm_core(processor: dict[str, str]) -> str | None:
    implementer, part = processor.get("CPU implementer"), processor.get("CPU part")
    if implementer is None or part is None:
        return None
    maker = _IMPLEMENTERS.get(implementer, implementer)
    known = _ARM_CORES.get(part) if maker == "Arm" else None
    return f"{maker} {known or f'core {part}'}"


def _bytes(size: str | None) -> int | None:
    if not size:
        return None
    unit = {"K": 1024, "M": 1024**2, "G": 1024**3}.get(size[-1])
    return int(size) if unit is None else int(size[:-1]) * unit
