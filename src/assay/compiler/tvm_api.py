"""TVM's moving parts, in one place: names that change between versions and corners that bite.

Written for TVM 0.27. What would have to be revisited for another version is here and in
:mod:`assay.compiler.codegen`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt


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


def default_pipeline(target: Any) -> Any:
    """Return TVM's default Relax pipeline for the target, lowering included."""
    from tvm import relax

    return relax.get_default_pipeline(target)


def lowering_passes(target: Any) -> list[Any]:
    """Return the passes that take a module of kernels to what the virtual machine executes."""
    from tvm.relax.backend.cpu_generic import pipeline

    return [
        *pipeline.library_dispatch_passes(target),
        *pipeline.dataflow_lower_passes(target),
        *pipeline.finalize_passes(target),
    ]


def op_calls(function: Any) -> list[Any]:
    """Return the calls in a Relax function, in order; ``call.op`` is an Op or a GlobalVar."""
    import tvm

    values = (binding.value for block in function.body.blocks for binding in block.bindings)
    return [value for value in values if isinstance(value, tvm.ir.Call)]


def op_name(call: Any) -> str:
    """Return the operator's name without the ``relax.`` prefix.

    '' for the call of a function, and for what is no call, such as an item of a tuple.
    """
    return str(getattr(getattr(call, "op", None), "name", "")).removeprefix("relax.")


def is_constant(expr: Any) -> bool:
    """Tell whether an expression is a constant tensor; in 0.27 a GenericConst may be a dtype."""
    import tvm

    return isinstance(expr, tvm.ir.GenericConst) and isinstance(expr.value, tvm.runtime.Tensor)


def static_shape(expr: Any) -> tuple[int, ...]:
    """Return the shape of a tensor-typed expression; every dimension has to be static."""
    return tuple(int(extent) for extent in expr.ty.shape)


def with_host(target: Any, host: Any) -> Any:
    """Return the target with another one for the code that calls its kernels."""
    import tvm

    return tvm.target.Target(target, host)


def constant_bytes(function: Any) -> int:
    """Return the bytes of all constants that a Relax function holds."""
    from tvm import relax

    sizes: list[int] = []

    def visit(expr: Any) -> None:
        if is_constant(expr):
            sizes.append(tensor_bytes(expr))

    relax.analysis.post_order_visit(function, visit)
    return sum(sizes)


def tensor_bytes(expr: Any) -> int:
    """Return the bytes of a tensor-typed expression whose shape is static."""
    from tvm import DataType

    dtype = DataType(str(expr.ty.dtype))
    return prod(static_shape(expr)) * dtype.bits * dtype.lanes // 8


def constant_value(expr: Any) -> npt.NDArray[Any] | None:
    """Return the value of a constant tensor, None for any other expression."""
    return expr.value.numpy() if is_constant(expr) else None


def scalar(expr: Any) -> float:
    """Return the number of a scalar argument, such as the limits of a clip."""
    value = getattr(expr, "value", expr)
    return float(value.numpy() if hasattr(value, "numpy") else value)


def move_constant(call: Any, value: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Do to an array what a ``permute_dims`` or ``reshape`` call does to its argument."""
    import numpy as np

    if op_name(call) == "reshape":
        return value.reshape(static_shape(call))
    axes = call.attrs.axes
    order = range(value.ndim)[::-1] if axes is None else [int(axis) for axis in axes]
    return np.ascontiguousarray(value.transpose(order))


@dataclass(frozen=True)
class LoopNest:
    """Which kinds of loops a kernel has, and how often its innermost bodies run in all."""

    kinds: frozenset[str]
    iterations: int


def loop_nest(function: Any) -> LoopNest:
    """Read the loops of a kernel whose extents are constants."""
    from tvm import tirx

    kinds: set[str] = set()

    def walk(body: Any, runs: int) -> int:
        if isinstance(body, tirx.SeqStmt):
            return sum(walk(part, runs) for part in body)
        if isinstance(body, tirx.For):
            kinds.add(tirx.ForKind(body.kind).name.lower())
            return walk(body.body, runs * int(body.extent))
        inner = getattr(body, "block", None) or getattr(body, "body", None)
        return runs if inner is None else walk(inner, runs)

    return LoopNest(iterations=walk(function.body, 1), kinds=frozenset(kinds))


def kernel_calls(mod: Any) -> list[tuple[str, Any]]:
    """Return name and body of each kernel that ``main`` calls, in execution order."""
    import tvm
    from tvm import tirx

    callees = (call.op for call in op_calls(mod["main"]))
    named = ((str(op.name_hint), mod[op]) for op in callees if isinstance(op, tvm.ir.GlobalVar))
    return [(name, body) for name, body in named if isinstance(body, tirx.PrimFunc)]


def kernel_names(mod: Any) -> frozenset[str]:
    """Return the names of the kernels in a module."""
    from tvm import tirx

    functions = mod.functions_items()
    return frozenset(str(v.name_hint) for v, f in functions if isinstance(f, tirx.PrimFunc))


def parameter_dtypes(function: Any) -> list[str]:
    """Return the element types of a kernel's parameters, the result's last."""
    return [str(parameter.ty.dtype) for parameter in function.params]


def digest(mod: Any) -> str:
    """Return a hash of a module's structure and constants; names of variables do not count."""
    import tvm_ffi

    return f"{tvm_ffi.structural_hash(mod, map_free_vars=True):016x}"
