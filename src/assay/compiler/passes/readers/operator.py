"""What a reader finds in a Relax call: a problem for a generator, and the tensors of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assay.compiler.passes.chains import Graph

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Operator:
    """An operator as a kernel's problem.

    A kernel's arguments, in order: ``inputs``; ``weights``, packed by the generator, if there are
    any; ``extras``; the operands of the epilogue. Problems with a field ``epilogue`` take the chain
    of element-wise operators that follows the last of ``variables``, which are what the kernel
    defines in place of the graph. ``absorbed`` variables come before; they are needed no more if
    this operator was their only user.
    """

    problem: Any
    variables: tuple[Any, ...]
    inputs: tuple[Any, ...]
    weights: NDArray[np.float32] | None = None
    extras: tuple[Any, ...] = ()
    absorbed: tuple[Any, ...] = ()


Reader = Callable[[Graph, Any], Operator | None]
"""Reads the operator that defines a variable; None if no kernel solves one with such attributes."""
