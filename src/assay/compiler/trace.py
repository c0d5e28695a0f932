"""Follow the operators of a model through all passes, to the kernels that compute them.

The import names each variable after its operator. A pass that replaces a chain of operators by a
kernel binds it to the variable of the last one: the kernel computes all that lies between the
variables that it reads and that one. Only FuseOps renames results; it is watched for that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import tvm
from tvm import relax

from assay.compiler import tvm_api
from assay.compiler.frontend.naming import operator_of, origin
from assay.compiler.kernel_calls import WRITTEN_BYTES, KernelCall, Layer
from assay.compiler.kernels.builder import USES
from assay.model.facts import Model

_KERNEL_CALLS = ("call_tir", "call_tir_inplace")
# Relax operators that do the multiply-accumulates of a TFLite operator.
_HEAVY = ("nn.conv", "matmul", "nn.batch_matmul")
# Those that only bring operands or results of one into another form.
_CONVERSIONS = ("quantize", "dequantize", "clip", "astype", "reshape", "permute_dims", "nn.relu")


@dataclass(frozen=True)
class _Value:
    """A variable of the imported graph: its operator, how it is computed, from which others."""

    operator: int
    relax_op: str
    sources: tuple[str, ...]


@tvm.instrument.pass_instrument
class Trace:
    """Watches one compilation from the import on; give it to the PassContext as an instrument."""

    def __init__(self, model: Model, mod: Any, batch: int = 1) -> None:
        self._model = model
        self._operators = {operator.index: operator for operator in model.operators}
        self._batch = batch
        self._values = _imported(mod)
        self._before_fusion: Any = None
        self._fused: list[tuple[str, ...]] | None = None
        self._final: Any = None

    def run_before_pass(self, mod: Any, info: Any) -> None:
        """Keep the graph before operators are grouped, and before calls lose their form."""
        if info.name == "FuseOps":
            self._before_fusion = mod
        elif info.name == "CallTIRRewrite":
            self._final = mod

    def run_after_pass(self, mod: Any, info: Any) -> None:
        """Note which variables of the graph each group holds."""
        if info.name == "FuseOps":
            self._fused = _groups(self._before_fusion, mod)

    def kernels(self) -> tuple[KernelCall, ...]:
        """Return the calls of the compiled library in order; to be asked after all passes."""
        bindings = list(_calls(self._final))
        held: list[tuple[str, ...]] = [(str(var.name),) for var, _ in bindings]
        if self._fused is not None and len(self._fused) == len(held):
            held = self._fused
        names = [tuple(filter(None, map(origin, each))) for each in held]
        taken = {name for each in names for name in each}
        calls = []
        for (var, call), own in zip(bindings, names, strict=True):
            inside = self._between(own, taken)
            if tvm_api.op_name(call) in _KERNEL_CALLS:
                calls.append((var, call, inside))
        return self._described(calls)

    def _between(self, own: tuple[str, ...], taken: set[str]) -> set[str]:
        """Return all that lies between what other calls compute and these; it is taken then."""
        found, stack = set(own), list(own)
        while stack:
            value = self._values.get(stack.pop())
            for source in value.sources if value else ():
                if source not in taken:
                    taken.add(source)
                    found.add(source)
                    stack.append(source)
        return found

    def _described(self, calls: list[tuple[Any, Any, set[str]]]) -> tuple[KernelCall, ...]:
        chief = self._chief_values()
        users: dict[str, list[int]] = defaultdict(list)
        for position, (_, call, _) in enumerate(calls):
            for argument in call.args[1]:
                if isinstance(argument, relax.Var):
                    users[argument.name].append(position)
        described: list[KernelCall] = []
        for var, call, inside in calls:
            operators = {self._values[name].operator for name in inside if name in self._values}
            own = {operator for operator in operators if chief[operator] in inside}
            beside = operators - own
            if not operators:
                beside = self._served(calls, users, var)
            if not operators and not beside:
                sources = (a.name for a in call.args[1] if isinstance(a, relax.Var))
                beside = {found for s in sources if (found := operator_of(s)) is not None}
            attrs = self._final[call.args[0]].attrs
            described.append(_call(call, attrs, self._layers(own), self._layers(beside)))
        return tuple(described)

    def _served(
        self, calls: list[tuple[Any, Any, set[str]]], users: Mapping[str, list[int]], var: Any
    ) -> set[int]:
        """Return the operators that use a variable next, behind calls that belong to none."""
        found: set[int] = set()
        positions = list(users[var.name])
        for position in positions:
            user, _, inside = calls[position]
            operators = {self._values[name].operator for name in inside if name in self._values}
            found |= operators
            if not operators:  # names of variables need not be unique
                positions += [each for each in users[user.name] if each not in positions]
        return found

    def _chief_values(self) -> dict[int, str]:
        """Return, for each operator, the variable that stands for its own work."""
        of: dict[int, list[str]] = defaultdict(list)
        for name, value in self._values.items():
            of[value.operator].append(name)
        return {operator: self._chief(names) for operator, names in of.items()}

    def _chief(self, names: list[str]) -> str:
        ops = {name: self._values[name].relax_op for name in names}
        heavy = [name for name in names if ops[name].startswith(_HEAVY)]
        own = [name for name in names if ops[name] and ops[name] not in _CONVERSIONS]
        return (heavy or own or names)[0 if heavy else -1]

    def _layers(self, operators: set[int]) -> tuple[Layer, ...]:
        return tuple(self._layer(operator) for operator in sorted(operators))

    def _layer(self, index: int) -> Layer:
        operator = self._operators[index]
        shape = self._model.tensors[operator.outputs[0]].static_shape
        macs = operator.macs * self._batch
        return Layer(operator.index, operator.name, operator.layer, shape, macs)


def _bindings(function: Any) -> list[Any]:
    return [binding for block in function.body.blocks for binding in block.bindings]


def _imported(mod: Any) -> dict[str, _Value]:
    values: dict[str, _Value] = {}
    for binding in _bindings(mod["main"]):
        operator = operator_of(binding.var.name)
        if operator is not None:
            value = binding.value
            op = tvm_api.op_name(value) if isinstance(value, tvm.ir.Call) else ""
            values[binding.var.name] = _Value(operator, op, _sources(value))
    return values


def _sources(value: Any) -> tuple[str, ...]:
    return tuple(str(var.name) for var in relax.analysis.free_vars(value))


def _calls(mod: Any) -> list[tuple[Any, Any]]:
    """Return variable and call of all that are or were kernels, in order."""
    return [
        (binding.var, binding.value)
        for binding in _bindings(mod["main"])
        if isinstance(binding.value, tvm.ir.Call)
    ]


def _groups(before: Any, after: Any) -> list[tuple[str, ...]]:
    """Return, for each call after FuseOps, the variables that it computed before.

    Equal groups share one function, so names in it are those of one of them, and results have lost
    theirs: a variable is the one before that calls the same on the same.
    """
    known: dict[Any, list[str]] = defaultdict(list)
    for binding in _bindings(before["main"]):
        known[_key(binding.value, {})].append(binding.var.name)
    renamed: dict[Any, str] = {}
    groups: list[tuple[str, ...]] = []
    for binding in _bindings(after["main"]):
        call = binding.value
        if not isinstance(call, tvm.ir.Call):
            renamed[binding.var] = _first(known, _key(call, renamed), binding.var)
            continue
        names: tuple[str, ...]
        body = after[call.op] if isinstance(call.op, tvm.ir.GlobalVar) else None
        if body is None:
            names = (_first(known, _key(call, renamed), binding.var),)
        else:
            inner = {
                parameter: renamed.get(argument, str(argument.name))
                if isinstance(argument, relax.Var)
                else ""
                for parameter, argument in zip(body.params, call.args, strict=True)
            }
            names = ()
            for each in _bindings(body):
                inner[each.var] = _first(known, _key(each.value, inner), each.var)
                names = (*names, inner[each.var])
        renamed[binding.var] = names[-1]
        groups.append(names)
    return groups


def _first(known: dict[Any, list[str]], key: Any, var: Any) -> str:
    return known[key].pop(0) if known[key] else str(var.name)


def _key(value: Any, names: dict[Any, str]) -> Any:
    """Return what a value calls, and on which variables."""
    if isinstance(value, relax.TupleGetItem):
        return int(value.index), *_named(value, names)
    called = ""
    if isinstance(value, tvm.ir.Call):
        kernel = value.args[0] if tvm_api.op_name(value) in _KERNEL_CALLS else value.op
        called = getattr(kernel, "name_hint", None) or str(getattr(kernel, "name", ""))
    return called, *_named(value, names)


def _named(value: Any, names: dict[Any, str]) -> tuple[str, ...]:
    """Return the variables of a value; a parameter that stands for a constant has no name."""
    free = relax.analysis.free_vars(value)
    return tuple(filter(None, (names.get(var, str(var.name)) for var in free)))


def _call(
    call: Any, attrs: Any, layers: tuple[Layer, ...], serves: tuple[Layer, ...]
) -> KernelCall:
    in_place = tvm_api.op_name(call) == "call_tir_inplace"  # into the last argument
    arguments = list(call.args[1])[: -1 if in_place else None]
    ins = [argument.ty for argument in arguments if hasattr(argument.ty, "dtype")]
    result = call.ty
    outs = list(result.fields) if hasattr(result, "fields") else [result]
    return KernelCall(
        symbol=str(call.args[0].name_hint),
        layers=layers,
        serves=serves,
        input_shapes=tuple(map(_shape, ins)),
        input_dtypes=tuple(str(each.dtype) for each in ins),
        output_shapes=tuple(map(_shape, outs)),
        output_dtypes=tuple(str(each.dtype) for each in outs),
        read_bytes=sum(map(_bytes, ins)),
        written_bytes=int(attrs.get(WRITTEN_BYTES, sum(map(_bytes, outs)))),
        uses=tuple(map(str, attrs.get(USES, ()))),
    )


def _shape(kind: Any) -> tuple[int, ...]:
    return tuple(int(extent) for extent in kind.shape)


def _bytes(kind: Any) -> int:
    return prod(_shape(kind)) * ((tvm.DataType(str(kind.dtype)).bits + 7) // 8)
