"""Facts of the kernels that one inference calls, read off the lowered module."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from assay.compiler import tvm_api
from assay.compiler.kernel_calls import FROM_NHWC, TRANSPOSE, KernelCall, parts_of
from assay.compiler.remarks.facts import KernelFact


def read_kernels(mod: Any, bound: Collection[str]) -> tuple[KernelFact, ...]:
    """Return the calls of kernels in ``main``, in execution order.

    ``bound`` are the names of the kernels that assay made; of those only transposes, and what does
    one on its way, are told apart.
    """
    known: dict[str, KernelFact] = {}
    found: list[KernelFact] = []
    for name, function in tvm_api.kernel_calls(mod):
        if name not in known:
            known[name] = _fact(name, function, name in bound)
        found.append(replace(known[name], call=len(found)))
    return tuple(found)


def placed(kernels: tuple[KernelFact, ...], calls: Sequence[KernelCall]) -> tuple[KernelFact, ...]:
    """Add what calls compute of the model, where both lists are of the same calls."""
    if [kernel.name for kernel in kernels] != [call.symbol for call in calls]:
        return kernels
    return tuple(map(_placed, kernels, calls))


def _placed(kernel: KernelFact, call: KernelCall) -> KernelFact:
    layer = (*call.serves[:1], *call.layers)[-1:]
    return replace(
        kernel,
        layer=layer[0].name if layer else "",
        macs=call.macs,
        dtype=call.input_dtypes[0] if call.input_dtypes else "",
        uses=call.uses,
    )


def _fact(name: str, function: Any, bound: bool) -> KernelFact:
    if bound:
        dtypes = tvm_api.parameter_dtypes(function)
        integer = dtypes[0] in ("int8", "uint8") and "int32" in dtypes  # the sums' offsets
        parts = tuple(word for word in parts_of(name) if word in (TRANSPOSE, FROM_NHWC))
        return KernelFact(0, name, parts, True, True, True, 0, integer)
    nest = tvm_api.loop_nest(function)
    return KernelFact(
        call=0,
        name=name,
        parts=parts_of(name),
        bound=False,
        vectorized="vectorized" in nest.kinds,
        parallel="parallel" in nest.kinds,
        iterations=nest.iterations,
    )
