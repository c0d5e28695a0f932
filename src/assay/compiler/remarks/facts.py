"""What rules look at: facts of a build's IR, free of TVM's objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from assay.compiler.config import Config
from assay.compiler.kernel_calls import FROM_NHWC, TRANSPOSE
from assay.compiler.target import Isa


@dataclass(frozen=True)
class OpFact:
    """One operator of the graph just before it becomes loops.

    name: TVM's name without ``relax.``. kind: name and layout for people, ``conv2d NHWC``.
    heavy: it multiplies and accumulates. source: operator that made its data, '' for an input or
    a constant; ``through`` the same, looking through permute_dims and reshape.
    at_input: nothing but quantize or dequantize lies between its data and the model's input.
    constant_data, constant_weights: whether the first and the second argument are constants.
    weights_from: operator that made the second argument, looking through permute_dims and reshape.
    """

    name: str
    kind: str
    heavy: bool
    layout: str
    dtype: str
    source: str
    through: str
    at_input: bool
    constant_data: bool
    constant_weights: bool
    weights_from: str = ""


@dataclass(frozen=True)
class KernelFact:
    """One call of a kernel, in execution order.

    parts: the operators in it, from the names that TVM gives generated kernels. vectorized and
    parallel say whether the kernel has such a loop; ``iterations`` counts the innermost body's
    runs. Of a kernel of assay's own (``bound``) only ``integer`` is known: it multiplies 8-bit
    integers. layer: the model's name for what it computes, or converts for; '' if unknown.
    macs: its multiply-accumulates. dtype: of its first operand. uses: features of the CPU that few
    kernels use.
    """

    call: int
    name: str
    parts: tuple[str, ...]
    bound: bool
    vectorized: bool
    parallel: bool
    iterations: int
    integer: bool = False
    layer: str = ""
    macs: int = 0
    dtype: str = ""
    uses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """A build, as rules see it.

    imported: the graph before any pass. ops: after its passes, before kernels are bound. loops:
    the heavy operators that no kernel of assay's was bound to. kernels: the calls of one inference.
    host: the ISA of the machine that compiles.
    """

    config: Config
    isa: Isa
    host: Isa
    ops: tuple[OpFact, ...]
    loops: tuple[OpFact, ...]
    kernels: tuple[KernelFact, ...] = ()
    imported: tuple[OpFact, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether the pipeline leaves operators as plain loops."""
        return self.config.pipeline == "stock" or self.config.opt_level < 2

    @property
    def quantized(self) -> bool:
        """Whether the graph dequantizes or requantizes anything."""
        return any(op.name in ("quantize", "dequantize") for op in self.ops)

    def placed_loops(self) -> list[tuple[OpFact, tuple[int, ...]]]:
        """Return ``loops``, each with the call of the kernel that holds it; () if unsure."""
        heavy = [k.call for k in self.kernels if not k.bound and is_heavy(k.parts)]
        known = len(heavy) == len(self.loops)
        return [(op, (heavy[i],) if known else ()) for i, op in enumerate(self.loops)]

    def placed_heavy(self) -> list[tuple[OpFact, tuple[int, ...]]]:
        """Return the heavy ``ops``, each with the call of the kernel that holds it; () if unsure.

        Of these, all compute in floating point: what runs in integers has left the graph before.
        """
        heavy = [op for op in self.ops if op.heavy]
        calls = [k.call for k in self.kernels if k.macs and k.dtype.startswith("float")]
        known = len(calls) == len(heavy)
        return [(op, (calls[i],) if known else ()) for i, op in enumerate(heavy)]

    def transposes(self) -> list[tuple[OpFact, tuple[int, ...]]]:
        """Return the transposes among ``ops``, each with the call of its kernel; () if unsure.

        Those that another kernel takes over as it reads, and those of constants, are left out.
        """
        moving = [op for op in self.ops if op.name == "permute_dims" and not op.constant_data]
        held = [
            (kernel.call, word)
            for kernel in self.kernels
            for word in kernel.parts
            if word in (TRANSPOSE, FROM_NHWC)
        ]
        if len(held) != len(moving):
            return [(op, ()) for op in moving]
        pairs = zip(moving, held, strict=True)
        return [(op, (call,)) for op, (call, word) in pairs if word == TRANSPOSE]

    def missing(self, **wanted: Any) -> dict[str, Any]:
        """Return those of the Config's fields that are not yet as wanted."""
        return {k: v for k, v in wanted.items() if getattr(self.config, k) != v}


def is_heavy(parts: tuple[str, ...]) -> bool:
    """Tell whether a generated kernel multiplies and accumulates."""
    return any("conv2d" in part or part == "matmul" for part in parts)
