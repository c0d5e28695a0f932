"""TVM's moving parts, in one place: names that change between versions and corners that bite.

Written for TVM 0.27. Everything that would have to be revisited for another version is here.
"""

from __future__ import annotations

from typing import Any


def make_target(fields: dict[str, Any]) -> Any:
    """Build a ``tvm.target.Target`` from its JSON form; 0.27 takes no ``llvm -mcpu=`` string."""
    import tvm

    return tvm.target.Target(fields)


def system_cpu() -> str:
    """Return LLVM's name of this machine's CPU."""
    from tvm.target import codegen

    return str(codegen.llvm_get_system_cpu())


def system_triple() -> str:
    """Return LLVM's target triple of this machine."""
    from tvm.target import codegen

    return str(codegen.llvm_get_system_triple())


def architectures() -> set[str]:
    """Return the names of the back ends that this LLVM was built with."""
    from tvm.target import codegen

    return {str(name) for name in codegen.llvm_get_targets()}


def known_cpus(target: Any) -> set[str]:
    """Return the CPU names that LLVM accepts for the target's triple."""
    from tvm.target import codegen

    return {str(name) for name in codegen.llvm_get_cpu_archlist(target)}


def cpu_features(target: Any) -> set[str]:
    """Return the features that LLVM gives the target's CPU, without those from ``mattr``."""
    from tvm.target import codegen

    return {str(name) for name in codegen.llvm_get_cpu_features(target)}


def has_feature(target: Any, feature: str) -> bool:
    """Tell whether code for the target may use ``feature`` (from its CPU or its ``mattr``)."""
    from tvm.target import codegen

    return bool(codegen.target_has_features([feature], target))
