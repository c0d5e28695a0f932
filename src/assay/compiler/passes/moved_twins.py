"""What a model's own reshapes and transposes are to images whose layout changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tvm import relax

from assay.compiler import tvm_api
from assay.compiler.passes.chained_moves import ChainedMove, Step, chained
from assay.compiler.passes.layouts import axes

if TYPE_CHECKING:
    from assay.compiler.passes.change_layout import Converter

MOVES = ("reshape", "permute_dims")
"""Operators whose chains are moved as one."""


def move_of_twin(to: Converter, call: Any, order: tuple[int, ...] = ()) -> Any:
    """Return what a chain of reshapes and transposes that begins at a twin makes of that twin.

    The chain is as long as it can be, unless less of it needs no transpose. ``order`` is one behind
    it. None if ``call`` ends no such chain.
    """
    steps: list[Step] = [("permute", order)] if order else []
    found: tuple[Any, ChainedMove] | None = None
    while tvm_api.op_name(call) in MOVES and not (found and not found[1].transposes):
        transposes = tvm_api.op_name(call) == "permute_dims"
        numbers = axes(call) if transposes else tvm_api.static_shape(call)
        steps.append(("permute" if transposes else "reshape", numbers))
        source = call.args[0]
        if to.has_twin(source):
            twin = to.twin(source)
            back: Step = ("permute", to.direction.back)
            move = chained(tvm_api.static_shape(twin), [back, *reversed(steps)])
            found = (twin, move) if move else found
        call = to.values.get(source)
    return None if found is None else _emitted(to, *found)


def _emitted(to: Converter, var: Any, move: ChainedMove) -> Any:
    if move.transposes:
        var = to.reshaped(var, move.parts)
        var = to.builder_.emit(relax.op.permute_dims(var, move.order))
    return to.reshaped(var, move.shape)
