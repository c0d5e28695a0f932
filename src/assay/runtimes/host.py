"""Whether this machine can run what was compiled: asked before a signal tells."""

from __future__ import annotations

import platform
from pathlib import Path

from assay.compiler.needs import FEATURES, Needs, arch_of
from assay.cpu import ROOT, cpu_flags, cpu_model


def obstacle(needs: Needs, root: Path = ROOT) -> str | None:
    """Return why code with these needs cannot run here, for the end of a sentence; None if it can.

    What the kernel under ``root`` does not tell is taken to be there.
    """
    machine = arch_of(platform.machine())
    if needs.arch != machine:
        return f"it is for {needs.arch}, and this machine is {machine}"
    flags = cpu_flags(root)
    if not flags:
        return None
    names = FEATURES.get(machine, {})
    lacking = [name for name in needs.features if names.get(name, name) not in flags]
    return f"this CPU, {cpu_model(root)}, lacks {', '.join(sorted(lacking))}" if lacking else None
