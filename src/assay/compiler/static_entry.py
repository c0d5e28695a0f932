"""The ahead-of-time entry: one exported function that runs a static plan without the VM.

It takes one tensor, a table of addresses (uint64): the inputs, the outputs, the constants, and
the arena, all aligned to 64 bytes. It checks nothing else and allocates no tensor.
"""

from __future__ import annotations

from typing import Any

import tvm
from tvm import relax, tirx
from tvm.ir import GlobalVar, PointerType, PrimType
from tvm.relax.expr_functor import PyExprMutator, mutator

from assay.compiler.entry_names import ENTRY
from assay.compiler.static_plan import Copy, Place, PlannedCall, StaticPlan

_INT = PrimType("int32")
_CPU = 1  # kDLCPU of DLPack


def with_parameters(mod: Any, plan: StaticPlan) -> Any:
    """Return the module with the plan's constants as further parameters of ``main``, in order.

    To be called before lowering: whoever runs the library brings them, to the entry and to the
    virtual machine alike.
    """
    return _Parameters(mod, plan).run()


@mutator
class _Parameters(PyExprMutator):
    """Puts a variable in the place of each constant."""

    def __init__(self, mod: Any, plan: StaticPlan) -> None:
        super().__init__(mod)
        constants = enumerate(plan.constants)
        self._variables = {each: relax.Var(f"constant{i}", each.ty) for i, each in constants}

    def run(self) -> Any:
        """Return the module with ``main`` rewritten."""
        main = self.builder_.get().get_global_var("main")
        function = self.builder_.get()[main]
        body = self.visit_expr(function.body)
        parameters = [*function.params, *self._variables.values()]
        attrs = function.attrs
        lifted = relax.Function(parameters, body, function.ret_ty, function.is_pure, attrs)
        self.builder_.update_func(main, lifted)
        return self.builder_.get()

    def visit_generic_const_(self, op: Any) -> Any:
        """Replace a constant of the plan."""
        return self._variables.get(op, op)


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
