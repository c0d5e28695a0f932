"""The ahead-of-time entry: one exported function that runs a static plan without the VM.

It takes one tensor, a table (uint64): the addresses of the inputs, the outputs, the constants, and
the arena, all aligned to 64 bytes; the number of threads, the address of what they share (see
:mod:`assay.compiler.team`), and how many steps were done so far. It checks nothing else and
allocates no tensor. All threads go through all of the plan, started and awaited once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import tvm
from tvm import relax, tirx
from tvm.ir import GlobalVar, PointerType, PrimType
from tvm.relax.expr_functor import PyExprMutator, mutator

from assay.compiler.entry_names import BARE, ENTRY
from assay.compiler.kernel_shares import SharedBody, shared_body
from assay.compiler.kernels.work import WORTH_A_TEAM_US
from assay.compiler.static_plan import Place, PlannedCall, StaticPlan
from assay.compiler.team import CLAIM, FINISH
from assay.compiler.team_functions import team_functions

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


def entry_functions(
    plan: StaticPlan, arch: str, work_us: dict[str, float], kernels: dict[Any, Any]
) -> dict[Any, Any]:
    """Return the functions that take the kernels' place in a module, ``ENTRY`` among them.

    ``kernels`` are the plan's, by their variables in the module, lowered up to their calling
    convention. Each one's code moves to a function of plain pointers, a share and the number of
    shares, which the entry calls by its name plus ``BARE``, wherever in the library the two are;
    what stays under its name checks its arguments for the virtual machine and calls that, too.
    ``arch`` is the machine's, for how threads wait; ``work_us`` are estimates of the kernels'
    times, by name.
    """
    functions: dict[Any, Any] = {}
    bare: dict[str, _Kernel] = {}
    for variable, kernel in kernels.items():
        name = str(variable.name_hint)
        shared = shared_body(kernel.body, "assay.kernel" in kernel.attrs)
        bare[name] = _Kernel(f"{name}{BARE}", shared.most, shared.launches)
        functions[GlobalVar(bare[name].symbol)] = _bare(kernel, name, shared)
        functions[variable] = _checked(kernel, name, bare[name])
    attrs = next(iter(kernels.values())).attrs
    functions[GlobalVar(ENTRY)] = _Entry(plan, bare, work_us).function(attrs)
    if any(kernel.most > 1 for kernel in bare.values()):
        functions.update(team_functions(arch, _attributes(attrs)))
    return functions


@dataclass(frozen=True)
class _Kernel:
    """The symbol of a kernel's plain function, how many shares of it find something to do, and
    whether it starts threads by itself.
    """

    symbol: str
    most: int
    launches: bool

    def call(self, pointers: list[Any], share: Any, shares: Any) -> Any:
        """Return the call that runs a share; it returns 0, or -1 if memory runs out."""
        return tirx.call_extern("int32", self.symbol, *pointers, share, shares)


def _bare(kernel: Any, name: str, shared: SharedBody) -> Any:
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
    body = _attribute("compute_scope", tvm.ir.StringImm(f"{name}_compute_"), shared.body)
    for key, value in (("device_type", _CPU), ("device_id", 0)):  # for workspace on the heap
        body = _attribute(key, tirx.IntImm("int32", value), body)
    body = tirx.SeqStmt([*views, body, tirx.Return(tirx.IntImm("int32", 0))])
    parameters = [*pointers, shared.share, shared.shares]
    return tirx.PrimFunc(parameters, body, ret_type=_INT, attrs=_attributes(kernel.attrs))


def _checked(kernel: Any, name: str, bare: _Kernel) -> Any:
    buffers = [
        tirx.decl_buffer(buffer.shape, buffer.dtype, buffer.name, data_alignment=64)
        for buffer in kernel.params
    ]
    pointers = [buffer.data for buffer in buffers]
    if bare.most == 1:
        body = _succeeds(bare.call(pointers, 0, 1))
    else:
        threads = tirx.Var("threads", "int32")
        asked = tirx.Bind(threads, tirx.call_packed("runtime.NumThreads"))
        share = tirx.Var("share", "int32")
        run = _succeeds(bare.call(pointers, share, threads))
        body = tirx.SeqStmt([asked, _parallel(share, threads, run)])
    return tirx.PrimFunc(buffers, body, attrs=_attributes(kernel.attrs, name))


@dataclass(frozen=True)
class _Entry:
    """Writes the entry."""

    plan: StaticPlan
    bare: dict[str, _Kernel]
    work_us: dict[str, float]

    def function(self, attrs: Any) -> Any:
        """Return the function: the plan as it is for one thread, in steps for several."""
        table = tirx.decl_buffer((self._slot("step") + 1,), "uint64", "table")
        body = self._alone(table, self.plan.calls)
        if any(kernel.most > 1 for kernel in self.bare.values()):
            threads = tirx.Cast("int32", self._load(table, "threads"))
            stretches = groupby(self.plan.calls, lambda call: self.bare[call.kernel].launches)
            together = [
                self._alone(table, calls) if launch else self._together(table, threads, calls)
                for launch, calls in ((launch, list(calls)) for launch, calls in stretches)
            ]
            body = tirx.IfThenElse(threads == 1, body, _sequence(together))
        copies = [
            _copy(self._pointer(table, copy.output), self._pointer(table, copy.source), copy.size)
            for copy in self.plan.copies
        ]
        return tirx.PrimFunc([table], _sequence([body, *copies]), attrs=_attributes(attrs, ENTRY))

    def _alone(self, table: Any, calls: Sequence[PlannedCall]) -> Any:
        return _sequence([_succeeds(self._call(table, call, 0, 1)) for call in calls])

    def _together(self, table: Any, threads: Any, calls: Sequence[PlannedCall]) -> Any:
        """Return the loop over the threads; each goes through all steps."""
        shared = [call for call in calls if self._most(call) > 1]
        if sum(self.work_us[call.kernel] for call in shared) < WORTH_A_TEAM_US:
            return self._alone(table, calls)
        # What one thread has to do in a row is one step.
        grouped = groupby(enumerate(calls), lambda each: each[0] if self._most(each[1]) > 1 else -1)
        steps = [[call for _, call in group] for _, group in grouped]
        before, count = tirx.Var("before", "uint64"), tirx.Var("count", "int32")
        thread = tirx.Var("thread", "int32")
        share, failed = (tirx.decl_buffer((1,), "int32", name) for name in ("share", "failed"))
        work = [tirx.AllocBuffer(share), tirx.AllocBuffer(failed), _set(failed, 0)]
        for index, part in enumerate(steps, 1):
            most = self._most(part[0])
            shares = tirx.min(count, most) if most > 1 else tirx.IntImm("int32", 1)
            place = (self._load(table, "team"), before + tirx.IntImm("uint64", index))
            runs = [
                _set(failed, _get(failed) | self._call(table, call, _get(share), shares))
                for call in part
            ]
            finish = _team(FINISH, *place, _get(share), thread, shares, share.data)
            work += [
                _team(CLAIM, *place, thread, shares, share.data),
                tirx.While(_get(share) >= 0, _sequence([*runs, finish])),
            ]
        work.append(_succeeds(_get(failed)))  # only now: others wait for each share
        after = before + tirx.IntImm("uint64", len(steps))
        return _sequence(
            [
                tirx.Bind(count, threads),
                tirx.Bind(before, self._load(table, "step")),
                tirx.BufferStore(table, after, [self._slot("step")]),
                _parallel(thread, count, _sequence(work)),
            ]
        )

    def _most(self, call: PlannedCall) -> int:
        return self.bare[call.kernel].most

    def _call(self, table: Any, call: PlannedCall, share: Any, shares: Any) -> Any:
        pointers = [self._pointer(table, where) for where in call.places]
        return self.bare[call.kernel].call(pointers, share, shares)

    def _pointer(self, table: Any, where: Place) -> Any:
        first = self._slot(where.kind)
        index, offset = where.index, where.first_byte
        if where.kind == "arena":
            index, offset = 0, where.index + where.first_byte
        address = tirx.BufferLoad(table, [first + index])
        if offset:
            address = address + tirx.IntImm("uint64", offset)
        return tirx.reinterpret("handle", address)

    def _load(self, table: Any, kind: str) -> Any:
        return tirx.BufferLoad(table, [self._slot(kind)])

    def _slot(self, kind: str) -> int:
        """Return the place in the table of the first of a kind."""
        outputs, constants = self.plan.inputs, self.plan.inputs + self.plan.outputs
        arena = constants + len(self.plan.constants)
        return {
            "input": 0,
            "output": outputs,
            "constant": constants,
            "arena": arena,
            "threads": arena + 1,
            "team": arena + 2,
            "step": arena + 3,
        }[kind]


def _attributes(attrs: Any, symbol: str | None = None) -> Any:
    """Return what code generation asks of a function; without a symbol it stays private."""
    kept = {"target": attrs["target"], "tirx.noalias": True, "s_tir": True}
    return tvm.ir.make_node("ir.DictAttrs", **kept, **({"global_symbol": symbol} if symbol else {}))


def _attribute(key: str, value: Any, body: Any) -> Any:
    return tirx.AttrStmt(tvm.ir.StringImm("default"), key, value, body)


def _succeeds(result: Any) -> Any:
    # 0.27's Python names the first two arguments the wrong way round.
    kind, message = tvm.ir.StringImm("RuntimeError"), tvm.ir.StringImm("a kernel failed")
    return tirx.AssertStmt(result == 0, kind, [message])


def _team(function: str, *arguments: Any) -> Any:
    return tirx.Evaluate(tirx.call_extern("int32", f"{function}{BARE}", *arguments))


def _parallel(index: Any, extent: Any, body: Any) -> Any:
    zero = tirx.IntImm("int32", 0)
    return tirx.For(index, zero, extent, tirx.ForKind.PARALLEL, body, None, {})


def _get(variable: Any) -> Any:
    return tirx.BufferLoad(variable, [0])


def _set(variable: Any, value: Any) -> Any:
    return tirx.BufferStore(variable, value, [0])


def _sequence(statements: list[Any]) -> Any:
    return statements[0] if len(statements) == 1 else tirx.SeqStmt(statements)


def _copy(output: Any, source: Any, size: int) -> Any:
    count = tirx.IntImm("uint64", size)
    return tirx.Evaluate(tirx.call_extern("handle", "memcpy", output, source, count))
