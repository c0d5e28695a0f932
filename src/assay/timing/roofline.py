"""How near a kernel is to what the machine can do: the roofline of each kernel of a profile."""

from __future__ import annotations

from dataclasses import dataclass

from assay.timing.peaks import Peaks
from assay.timing.profile import KernelTime


@dataclass(frozen=True)
class Roof:
    """A kernel under its roof.

    ``bound`` is ``memory`` where moving its bytes takes longer than computing could, at the peaks.
    ``share`` is how much of that peak it reaches; ``level`` is where its bytes lie.
    """

    bound: str
    share: float
    level: str


def roof_of(kernel: KernelTime, peaks: Peaks) -> Roof:
    """Compare a kernel with the lower of the two roofs above it.

    The bytes are those of all its tensors, each once; they come from the smallest cache that holds
    them all. A kernel without multiply-accumulates is compared with memory alone.
    """
    moved, operations = kernel.call.bytes_moved, 2 * kernel.call.macs
    dtype = kernel.call.input_dtypes[0] if kernel.call.input_dtypes else ""
    moving = moved / peaks.bandwidth(moved) / 1e6
    computing = operations / peaks.operations(dtype) / 1e6
    bound = "memory" if moving >= computing else "compute"
    took = kernel.median_ms
    share = max(moving, computing) / took if took > 0 else 0.0
    return Roof(bound, share, peaks.level(moved))
