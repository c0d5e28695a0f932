"""What a run of a network without dynamic shapes does: kernels in order, and where tensors lie."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any, Literal

import tvm
from tvm import DataType, relax, tirx

from assay.compiler import tvm_api
from assay.compiler.kernels.builder import FIRST_BYTE, REPLACES
from assay.compiler.memory_plan import ALIGNMENT_BYTES, Lifetime, place


@dataclass(frozen=True)
class Place:
    """A tensor's memory: a model's input or output, a constant (by index), or a temporary.

    ``index`` of a temporary is its offset in the arena, in bytes. A stretch of another tensor
    begins at that one's ``first_byte``.
    """

    kind: Literal["input", "output", "constant", "arena"]
    index: int
    first_byte: int = 0


@dataclass(frozen=True)
class PlannedCall:
    """A kernel's name in the module and its tensors, in the order of its parameters."""

    kernel: str
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Copy:
    """An output that no kernel writes (it is an input, a constant or another output)."""

    source: Place
    output: Place
    size: int


@dataclass(frozen=True)
class StaticPlan:
    """All of a run; ``constants`` are Relax constants, ``arena_bytes`` a multiple of 64."""

    calls: tuple[PlannedCall, ...]
    copies: tuple[Copy, ...]
    inputs: int
    outputs: int
    constants: tuple[Any, ...]
    arena_bytes: int


class _NotStaticError(Exception):
    """The function does something that only the virtual machine can."""


@dataclass(eq=False)
class _Tensor:
    """A tensor while its place is still open; identity counts.

    It may be a stretch of the ``whole``, from its byte ``first`` on, and has no place of its own.
    """

    size: int
    place: Place | None = None
    whole: _Tensor | None = None
    first: int = 0


def static_plan(mod: Any) -> StaticPlan | None:
    """Plan the module's ``main``, which has its kernels bound.

    None if it is not all static, calls no kernel at all, or one that takes views of tensors.
    """
    rewritten = relax.transform.RewriteDataflowReshape()(mod)
    try:
        return _Planner(rewritten).plan()
    except _NotStaticError:
        return None


class _Planner:
    def __init__(self, mod: Any) -> None:
        self._mod = mod
        self._function = mod["main"]
        self._constants: dict[Any, _Tensor] = {}
        self._known: dict[Any, Any] = {}
        self._steps: list[tuple[str, list[_Tensor]]] = []
        self._replaceable: list[list[int]] = []

    def plan(self) -> StaticPlan:
        for index, parameter in enumerate(self._function.params):
            self._known[parameter] = _Tensor(_size(parameter.ty), Place("input", index))
        for block in self._function.body.blocks:
            for binding in block.bindings:
                self._known[binding.var] = self._value(binding.value)
        if not self._steps:
            raise _NotStaticError
        result = self._value(self._function.body.body)
        outputs = list(result) if isinstance(result, tuple) else [result]
        copies = _place_outputs(outputs)
        arena_bytes = self._place_temporaries([tensor for tensor, _ in copies])
        calls = tuple(
            PlannedCall(name, tuple(_placed(tensor) for tensor in tensors))
            for name, tensors in self._steps
        )
        return StaticPlan(
            calls,
            tuple(Copy(_placed(tensor), output, tensor.size) for tensor, output in copies),
            len(self._function.params),
            len(outputs),
            tuple(self._constants),
            arena_bytes,
        )

    def _value(self, expr: Any) -> Any:
        """Return the tensor, or the tuple of values, that an expression stands for."""
        if isinstance(expr, relax.Var):
            if expr not in self._known:
                raise _NotStaticError
            return self._known[expr]
        if tvm_api.is_constant(expr):
            if expr not in self._constants:
                place = Place("constant", len(self._constants))
                self._constants[expr] = _Tensor(_size(expr.ty), place)
            return self._constants[expr]
        if isinstance(expr, tvm.ir.Tuple):
            return tuple(self._value(field) for field in expr.fields)
        if isinstance(expr, tvm.ir.TupleGetItem):
            return self._value(expr.tuple_value)[expr.index]
        name = tvm_api.op_name(expr) if isinstance(expr, tvm.ir.Call) else ""
        if name == "reshape":
            return self._value(expr.args[0])
        if name == "call_tir" and len(expr.args) == 2:
            return self._kernel(expr)
        if name == "call_tir_inplace" and list(expr.attrs.inplace_indices) == [
            len(expr.args[1]) - 1
        ]:
            return self._kernel_in_place(expr)
        raise _NotStaticError

    def _kernel(self, call: Any) -> Any:
        types = call.ty_args[0]
        first = (self._mod[call.args[0]].attrs or {}).get(FIRST_BYTE)
        if first is not None and int(first) % ALIGNMENT_BYTES == 0:
            return self._stretch(self._value(call.args[1])[0], int(first), _size(types))
        several = isinstance(types, tvm.ir.TupleType)
        results = tuple(_Tensor(_size(ty)) for ty in (types.fields if several else [types]))
        self._call(call, results)
        return results if several else results[0]

    def _stretch(self, tensor: Any, first: int, size: int) -> _Tensor:
        """Return part of a tensor without a call that would copy it."""
        if not isinstance(tensor, _Tensor):
            raise _NotStaticError
        return _Tensor(size, None, tensor.whole or tensor, tensor.first + first)

    def _kernel_in_place(self, call: Any) -> Any:
        """Add a call that writes into its last argument, and return that one."""
        return self._call(call, ())[-1]

    def _call(self, call: Any, results: tuple[_Tensor, ...]) -> tuple[_Tensor, ...]:
        """Add a call of a kernel and return all of its tensors."""
        sources = self._value(call.args[1])
        if not all(isinstance(source, _Tensor) for source in sources):
            raise _NotStaticError
        if not all(_is_whole(buffer) for buffer in self._mod[call.args[0]].params):
            raise _NotStaticError
        tensors = (*sources, *results)
        self._steps.append((str(call.args[0].name_hint), list(tensors)))
        attributes = self._mod[call.args[0]].attrs or {}
        self._replaceable.append([int(i) for i in attributes.get(REPLACES, [])])
        return tensors

    def _place_temporaries(self, copied: list[_Tensor]) -> int:
        touched: dict[_Tensor, list[int]] = {}
        last = ("copies", copied)  # after all kernels
        for step, (_, tensors) in enumerate([*self._steps, last]):
            for tensor in (each.whole or each for each in tensors):
                if tensor.place is None:
                    touched.setdefault(tensor, []).append(step)
        holders = self._holders(touched)
        for tensor, holder in holders.items():
            touched[holder] += touched.pop(tensor)
        lives = [Lifetime(tensor.size, steps[0], steps[-1]) for tensor, steps in touched.items()]
        offsets, end = place(lives)
        for tensor, offset in zip(touched, offsets, strict=True):
            tensor.place = Place("arena", offset)
        for tensor, holder in holders.items():
            tensor.place = holder.place
        return end

    def _holders(self, touched: dict[_Tensor, list[int]]) -> dict[_Tensor, _Tensor]:
        """Return the temporaries that take the place of an operand, and whose place it is.

        A kernel's result does so if the kernel allows it, and nothing reads the operand later.
        """
        holders: dict[_Tensor, _Tensor] = {}
        for step, ((_, tensors), allowed) in enumerate(
            zip(self._steps, self._replaceable, strict=True)
        ):
            wholes = [tensor.whole or tensor for tensor in tensors]
            result = tensors[-1]
            for operand in (tensors[index] for index in allowed if not tensors[index].whole):
                dies = operand.place is None and touched[operand][-1] == step
                alone = wholes.count(operand) == 1 and operand.size == result.size
                if result.place is None and dies and alone:
                    holders[result] = holders.get(operand, operand)
                    break
        return holders


def _place_outputs(outputs: list[Any]) -> list[tuple[_Tensor, Place]]:
    """Let kernels write outputs where they belong; return what has to be copied there."""
    copies = []
    for index, tensor in enumerate(outputs):
        if not isinstance(tensor, _Tensor):
            raise _NotStaticError
        output = Place("output", index)
        if tensor.place is None and tensor.whole is None:
            tensor.place = output
        else:
            copies.append((tensor, output))
    return copies


def _placed(tensor: _Tensor) -> Place:
    place = (tensor.whole or tensor).place
    assert place is not None
    return replace(place, first_byte=tensor.first)


def _is_whole(buffer: Any) -> bool:
    """Tell whether a kernel's parameter begins where its pointer points, as those of the plan do.

    TVM's ``scatter_nd`` leaves the distance to the caller.
    """
    return isinstance(buffer.elem_offset, tirx.IntImm) and not buffer.strides


def _size(ty: Any) -> int:
    """Return a tensor type's bytes."""
    if not isinstance(ty, relax.TensorType) or ty.shape is None:
        raise _NotStaticError
    if not all(isinstance(extent, tirx.IntImm) for extent in ty.shape):
        raise _NotStaticError
    dtype = DataType(str(ty.dtype))
    return prod(int(extent) for extent in ty.shape) * -(-dtype.bits * dtype.lanes // 8)
