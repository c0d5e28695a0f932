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
    ``variables``; the others are needed no more, unless something else uses them. Tensors
    may have other shapes than the kernel's parameters, of as many elements in the same order. If
    they are images in NCHW where the kernel is for NHWC, ``source_nchw`` says so of the first
    source, ``result_nchw`` of the result and the other sources.
    """

    problem: Any
    variables: tuple[Any, ...]
    sources: tuple[Any, ...]
    values: tuple[Any, ...] = ()
    source_nchw: bool = False
    result_nchw: bool = False


Reader = Callable[[Graph, Any], QuantizedOperator | None]
"""Reads the operator that defines a variable; None if it is not quantized as kernels need it."""
