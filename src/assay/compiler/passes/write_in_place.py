"""Let kernels write their results where a concatenation would copy them to.

A result that only the concatenation reads needs no tensor of its own: its kernel is made anew, to
write rows at a distance (see :class:`Inside`). The first kernel of a concatenation defines the
whole tensor; those after it take that and write into it, the copy of what is left last. If half of
the tensor or more would be left, all is copied: cache lines come and go as often then, and the
tensor would be alive for longer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from assay.compiler import tvm_api
from assay.compiler.kernel_calls import WRITTEN_BYTES
from assay.compiler.kernels.builder import with_parameter_shapes
from assay.compiler.kernels.epilogue import Inside
from assay.compiler.kernels.int8.concat import QuantizedConcat
from assay.compiler.kernels.move import Move
from assay.compiler.kernels.work import PLANNED_TASKS
from assay.compiler.passes.bound import BoundKernel, BoundKernels
from assay.compiler.target import Isa


@dataclass(frozen=True)
class _Write:
    """A kernel that writes a part of the tensor which the concatenation ``result`` defines."""

    result: Any
    kernel: BoundKernel
    arguments: tuple[Any, ...]
    elements: int


def write_in_place(isa: Isa, kernels: BoundKernels) -> Any:
    """Return the module pass; ``kernels`` are those that passes before it bound."""

    @tvm.transform.module_pass(opt_level=0, name="WriteInPlace")
    def run(mod: Any, _context: Any) -> Any:
        return _InPlace(mod, isa, kernels).run()

    return run


@mutator
class _InPlace(PyExprMutator):
    """Replaces the calls of kernels that write into a concatenation, and its own."""

    def __init__(self, mod: Any, isa: Isa, kernels: BoundKernels) -> None:
        super().__init__(mod)
        self._isa = isa
        self._kernels = kernels
        self._made: dict[Any, Any] = {}
        self._writes: dict[Any, _Write] = {}
        self._last: dict[Any, Any] = {}  # of each concatenation without a copy, who writes last
        self._whole: dict[Any, Any] = {}  # of each concatenation, its tensor as it is so far

    def run(self) -> Any:
        """Return the module without the copies that are not needed."""
        main = self.builder_.get().get_global_var("main")
        function = self.builder_.get()[main]
        self._plan(function)
        if not self._writes:
            return self.builder_.get()
        self.builder_.update_func(main, self.visit_expr(function))
        return relax.transform.DeadCodeElimination(["main"])(self.builder_.get())

    def visit_var_binding_(self, binding: Any) -> None:
        """Bind a kernel's call anew if it writes in place; drop a copy that is not needed."""
        var = binding.var
        if var in self._writes:
            write = self._writes[var]
            completes = var.same_as(self._last.get(write.result))
            named = write.result if completes else var
            whole = self.builder_.emit(self._call(write), name_hint=named.name)
            self._whole[write.result] = whole
        elif var in self._last:
            whole = self._whole[var]
        else:
            super().visit_var_binding_(binding)
            return
        if not isinstance(var, relax.DataflowVar):
            whole = self.builder_.emit_output(whole)
        self.set_var_remap(var, whole)

    def _plan(self, function: Any) -> None:
        """Decide which kernels write where."""
        calls = {var: value for var, value in _bindings(function) if _kernel_name(value)}
        users = Counter(_uses(function))
        for var, call in calls.items():
            copy = self._kernels.get(_kernel_name(call))
            if copy is None or not isinstance(copy.problem, Move | QuantizedConcat):
                continue
            sources = list(call.args[1])
            placed = {}
            for index, source in enumerate(sources):
                alone = source in calls and users[source] == 1 and source not in self._writes
                write = self._placed(var, calls[source], copy.problem, index) if alone else None
                if write is not None:
                    placed[index] = write
            left = copy.problem.without(set(placed)) if placed else None
            if left is not None and 2 * left.moved >= copy.problem.moved:
                continue
            for index, write in placed.items():
                self._writes[sources[index]] = write
            if left is not None:
                arguments = [each for i, each in enumerate(sources) if i not in placed]
                kernel = replace(copy, problem=left)
                self._writes[var] = _Write(var, kernel, tuple(arguments), left.moved)
            elif placed:
                order = list(calls)
                self._last[var] = max((sources[i] for i in placed), key=order.index)

    def _placed(
        self, result: Any, call: Any, problem: Move | QuantizedConcat, index: int
    ) -> _Write | None:
        """Return the kernel of ``call`` writing its part of the result, None if it cannot."""
        kernel, size = self._kernels.get(_kernel_name(call)), prod(tvm_api.static_shape(call))
        piece = problem.piece(index)
        unit = _unit(kernel.problem) if kernel else None
        if kernel is None or piece is None or unit is None:
            return None
        whole = piece.length == size
        if not whole and piece.length != unit:
            return None
        inside = Inside(prod(problem.output_shape), piece.first, unit if whole else piece.step)
        made = _inside(kernel.problem, inside)
        if not kernel.generator.applicable(made):
            return None
        return _Write(result, replace(kernel, problem=made), tuple(call.args[1]), size)

    def _call(self, write: _Write) -> Any:
        result, arguments = write.result, list(map(self.visit_expr, write.arguments))
        kernel = self._kernel(write)
        before = self._whole.get(result)
        if before is None:
            return relax.call_tir(kernel, arguments, result.ty)
        places = [len(arguments)]
        return relax.op.call_tir_inplace(kernel, [*arguments, before], places, result.ty)

    def _kernel(self, write: _Write) -> Any:
        shapes = tuple(tvm_api.static_shape(each) for each in (*write.arguments, write.result))
        key = (write.kernel, shapes)
        if key not in self._made:
            generator = write.kernel.generator
            kind = generator.__name__.partition(".kernels.")[2].replace(".", "_")
            name = f"{kind}_{len(self._kernels)}"
            self._kernels[name] = write.kernel
            made = generator.generate(write.kernel.problem, self._isa, name, PLANNED_TASKS)
            size = write.elements * tvm_api.tensor_bytes(write.result)
            size //= prod(tvm_api.static_shape(write.result))
            made = with_parameter_shapes(made, shapes).with_attr(WRITTEN_BYTES, size)
            self._made[key] = self.builder_.add_func(made, name)
        return self._made[key]


def _bindings(function: Any) -> Iterator[tuple[Any, Any]]:
    for block in function.body.blocks:
        for binding in block.bindings:
            yield binding.var, binding.value


def _uses(function: Any) -> Iterator[Any]:
    """Yield a variable for each time that it is read, the function's results included."""

    def variables(expr: Any) -> list[Any]:
        found: list[Any] = []
        relax.analysis.post_order_visit(
            expr, lambda each: found.append(each) if isinstance(each, relax.Var) else None
        )
        return found

    for _, value in _bindings(function):
        fields = value.args[1] if _kernel_name(value) else [value]
        for field in fields:
            yield from variables(field)
    yield from variables(function.body.body)


def _kernel_name(value: Any) -> str:
    """Return the kernel's name if a value is a call of one, ''."""
    return str(value.args[0].name_hint) if tvm_api.op_name(value) == "call_tir" else ""


_PARTS = ("depthwise", "geometry")
"""What the problem is called whose epilogue is a larger one's."""


def _with_epilogue(problem: Any) -> Any:
    return next((getattr(problem, part) for part in _PARTS if hasattr(problem, part)), problem)


def _unit(problem: Any) -> int | None:
    """Return how many elements of results stay together, see :class:`Inside`; None if unknown."""
    part = _with_epilogue(problem)
    if not hasattr(part, "epilogue"):
        return None
    shape = part.output_shape
    return prod(shape[1:]) if getattr(part, "layout", "NHWC") == "NCHW" else prod(shape[-1:])


def _inside(problem: Any, inside: Inside) -> Any:
    """Return the problem with its results placed."""
    for part in _PARTS:
        if hasattr(problem, part):
            return replace(problem, **{part: _inside(getattr(problem, part), inside)})
    return replace(problem, epilogue=replace(problem.epilogue, inside=inside))
