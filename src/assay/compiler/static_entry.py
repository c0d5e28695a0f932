"""The ahead-of-time entry: one exported function that runs a static plan without the VM.

It takes one tensor, a table of addresses (uint64): the inputs, the outputs, the constants, and
the arena, all aligned to 64 bytes. It checks nothing else and allocates no tensor.
"""

from __future__ import annotations

from typing import Any

import tvm
from tvm import relax, tirx
from tvm.ir import GlobalVar, PointerType, PrimType

from assay.compiler.entry_names import CONSTANTS, ENTRY
from assay.compiler.static_plan import Copy, Place, PlannedCall, StaticPlan

_INT = PrimType("int32")
_CPU = 1  # kDLCPU of DLPack


def with_constants(mod: Any, plan: StaticPlan) -> Any:
    """Return the module with the function ``CONSTANTS``; to be called before lowering."""
    builder = relax.BlockBuilder(mod)
    with builder.function(CONSTANTS, []):
        builder.emit_func_output(tvm.ir.Tuple(list(plan.constants)))
    return builder.finalize()


def entry_functions(plan: StaticPlan, kernels: dict[Any, Any]) -> dict[Any, Any]:
    """Return the functions that take the kernels' place in a module, ``ENTRY`` among them.

    ``kernels`` are the plan's, by their variables in the module, lowered up to their calling
    convention. Each one's code moves to a private function of plain pointers, which the entry
    calls; what stays under its name checks its arguments for the virtual machine and calls that,
    too.
    """
    functions: dict[Any, Any] = {}
    bare: dict[str, Any] = {}
    for variable, kernel in kernels.items():
        name = str(variable.name_hint)
        bare[name] = GlobalVar(f"{name}_bare")
        functions[bare[name]] = _bare(kernel, name)
        functions[variable] = _checked(kernel, name, bare[name])
    functions[GlobalVar(ENTRY)] = _entry(plan, bare, next(iter(kernels.values())).attrs)
    return functions


def _bare(kernel: Any, name: str) -> Any:
    pointers = [
        tirx.Var(f"p{i}", PointerType(PrimType(str(buffer.dtype))))
        for i, buffer in enumerate(kernel.params)
    ]
    views = [
        tirx.DeclBuffer(buffer, data=pointer)
        for buffer, pointer in zip(kernel.params, pointers, strict=True)
    ]
    # The scope becomes a function that LLVM does not inline. It must not: TVM tells it that two
    # buffers never overlap, which is wrong where two kernels know one tensor by two names.
    body = _attribute("compute_scope", tvm.ir.StringImm(f"{name}_compute_"), kernel.body)
    for key, value in (("device_type", _CPU), ("device_id", 0)):  # for workspace on the heap
        body = _attribute(key, tirx.IntImm("int32", value), body)
    body = tirx.SeqStmt([*views, body, tirx.Return(tirx.IntImm("int32", 0))])
    return tirx.PrimFunc(pointers, body, ret_type=_INT, attrs=_attributes(kernel.attrs))


def _checked(kernel: Any, name: str, bare: Any) -> Any:
    buffers = [
        tirx.decl_buffer(buffer.shape, buffer.dtype, buffer.name, data_alignment=64)
        for buffer in kernel.params
    ]
    call = _call(bare, [buffer.data for buffer in buffers])
    return tirx.PrimFunc(buffers, call, attrs=_attributes(kernel.attrs, name))


def _entry(plan: StaticPlan, bare: dict[str, Any], attrs: Any) -> Any:
    slots = plan.inputs + plan.outputs + len(plan.constants) + 1
    table = tirx.decl_buffer((slots,), "uint64", "table")
    statements: list[Any] = [_step(table, plan, call, bare) for call in plan.calls]
    statements += [_copy(table, plan, copy) for copy in plan.copies]
    body = tirx.SeqStmt(statements) if len(statements) > 1 else statements[0]
    return tirx.PrimFunc([table], body, attrs=_attributes(attrs, ENTRY))


def _attributes(attrs: Any, symbol: str | None = None) -> Any:
    """Return what code generation asks of a function; without a symbol it stays private."""
    kept = {"target": attrs["target"], "tirx.noalias": True, "s_tir": True}
    return tvm.ir.make_node("ir.DictAttrs", **kept, **({"global_symbol": symbol} if symbol else {}))


def _attribute(key: str, value: Any, body: Any) -> Any:
    return tirx.AttrStmt(tvm.ir.StringImm("default"), key, value, body)


def _call(bare: Any, pointers: list[Any]) -> Any:
    called = tvm.ir.Call(bare, pointers, ret_ty=_INT)
    # 0.27's Python names the first two arguments the wrong way round.
    kind, message = tvm.ir.StringImm("RuntimeError"), tvm.ir.StringImm("a kernel failed")
    return tirx.AssertStmt(called == 0, kind, [message])


def _step(table: Any, plan: StaticPlan, call: PlannedCall, bare: dict[str, Any]) -> Any:
    return _call(bare[call.kernel], [_pointer(table, plan, where) for where in call.places])


def _pointer(table: Any, plan: StaticPlan, where: Place) -> Any:
    first = {
        "input": 0,
        "output": plan.inputs,
        "constant": plan.inputs + plan.outputs,
        "arena": plan.inputs + plan.outputs + len(plan.constants),
    }[where.kind]
    if where.kind == "arena":
        address = tirx.BufferLoad(table, [first]) + tirx.IntImm("uint64", where.index)
    else:
        address = tirx.BufferLoad(table, [first + where.index])
    return tirx.reinterpret("handle", address)


def _copy(table: Any, plan: StaticPlan, copy: Copy) -> Any:
    output, source = (_pointer(table, plan, where) for where in (copy.output, copy.source))
    size = tirx.IntImm("uint64", copy.size)
    return tirx.Evaluate(tirx.call_extern("handle", "memcpy", output, source, size))
