"""Which problem each kernel of a module solves, so that a later pass can solve it another way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class BoundKernel:
    """A problem of ``kernels/``, and the generator that made the kernel."""

    problem: Any
    generator: Any


BoundKernels = dict[str, BoundKernel]
"""Kernels by their names in the module."""
