"""Names that lead from variables of a Relax function back to the operators of the model file.

TVM's passes keep no spans, but they keep the names of variables wherever a value stays what it was.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

_NAME = re.compile(r"op(\d+)x(\d+)")


def named_after_operators(mod: Any, results: Sequence[tuple[int, Any]]) -> Any:
    """Rename the variables of ``main`` so that :func:`operator_of` finds their operator.

    ``results`` are pairs of an operator and a variable that holds an output of it, in the order of
    conversion: what is bound before one, and after the ones before, was bound for that operator.
    """
    owners: dict[str, int] = {}
    ends = {var.name: operator for operator, var in reversed(results)}
    waiting: list[str] = []
    for block in mod["main"].body.blocks:
        for binding in block.bindings:
            waiting.append(binding.var.name)
            operator = ends.get(binding.var.name)
            if operator is not None:
                owners.update(dict.fromkeys(waiting, operator))
                waiting = []
            elif isinstance(binding.value, relax.Var) and binding.value.name in owners:
                owners[waiting.pop()] = owners[binding.value.name]
    return _Namer(mod, owners).run()


def operator_of(name: str) -> int | None:
    """Return the operator for which a variable of that name was bound, None if for none."""
    found = _NAME.match(name)
    return int(found[1]) if found else None


def again(name: str) -> str:
    """Return a name for another variable of the same :func:`origin`; digits may follow it."""
    return f"{name}_"


def origin(name: str) -> str | None:
    """Return the name that the import gave; a pass that binds it again adds a suffix."""
    found = _NAME.match(name)
    return found[0] if found else None


@mutator
class _Namer(PyExprMutator):
    """Binds everything again under a name of its own."""

    def __init__(self, mod: Any, owners: Mapping[str, int]) -> None:
        super().__init__(mod)
        self._owners = owners
        self._count = 0

    def run(self) -> Any:
        """Return the module with its variables renamed."""
        main = self.builder_.get().get_global_var("main")
        self.builder_.update_func(main, self.visit_expr(self.builder_.get()[main]))
        return self.builder_.get()

    def visit_var_binding_(self, binding: Any) -> None:
        """Bind a value under its operator's name; leave alone what no operator needed."""
        owner = self._owners.get(binding.var.name)
        if owner is None:
            super().visit_var_binding_(binding)
            return
        self._count += 1
        inside = isinstance(binding.var, relax.DataflowVar)
        emit = self.builder_.emit if inside else self.builder_.emit_output
        name = f"op{owner}x{self._count}"
        self.set_var_remap(binding.var, emit(self.visit_expr(binding.value), name_hint=name))
