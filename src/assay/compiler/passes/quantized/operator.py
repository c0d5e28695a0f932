"""What a reader finds in a quantized graph: a problem for a generator, and the tensors of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from assay.compiler.passes.chains import Graph


@dataclass(frozen=True)
class QuantizedOperator:
    """A quantized operator as a kernel's problem.

    A kernel's arguments, in order: the first of ``sources``; what the generator packs of
    ``values``, if it packs anything; the other sources. Sources are 8-bit variables or constants,
    which the kernel takes as they are stored, or float32 ones. The kernel defines the last of
    ``variables``; the others are needed no more, unless something else uses them.
    """

    problem: Any
    variables: tuple[Any, ...]
    sources: tuple[Any, ...]
    values: tuple[Any, ...] = ()


Reader = Callable[[Graph, Any], QuantizedOperator | None]
"""Reads the operator that defines a variable; None if it is not quantized as kernels need it."""
