"""A small builder of TIR: one method per statement, so that a generator reads like its kernel.

Kernels are written as syntax trees directly, without schedules. A Python loop unrolls; ``serial``
and ``parallel`` emit loops. Every buffer is flat; offsets count elements. Scalars are vectors of
one lane, so that the same generator code serves any vector width.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any

from tvm import tirx
from tvm.s_tir import SBlock, SBlockRealize
from tvm.tirx import ForKind

from assay.compiler.kernels.splits import floor_power_of_two

Expr = Any
"""A TIR expression, or a Python int where an offset or extent is meant."""

Buffer = Any
"""A flat TIR buffer."""

FIRST_BYTE = "assay.first_byte"
"""Attribute of a kernel that copies a stretch of its only operand: where in that it begins."""

REPLACES = "assay.replaces"
"""Attribute of a kernel: the parameters in whose memory its result may be, by number."""

USES = "assay.uses"
"""Attribute of a kernel: features that its target has and few kernels use, by LLVM's names."""

_OPAQUE = 8  # relay::kOpaque, in TVM's op_attr_types.h
_NEAREST, _SECOND, _DATA = 3, 2, 1  # llvm.prefetch: into the nearest cache or the next, of data
_ALIGNMENT = 64  # bytes: TVM allocates all tensors so; a cache line, and the widest vector


class KernelBuilder:
    """Collects statements, innermost block last, and wraps them up as a PrimFunc."""

    def __init__(self) -> None:
        self._blocks: list[list[Any]] = [[]]
        self._parameters: list[Any] = []
        self._views: list[Buffer] = []
        self._replaced: list[int] = []
        self._uses: set[str] = set()
        self._names = 0

    def parameter(self, name: str, shape: Sequence[int], dtype: str = "float32") -> Buffer:
        """Add a parameter with the caller's own shape and return a flat view of it."""
        buffer = tirx.decl_buffer(tuple(shape), dtype, name, data_alignment=_ALIGNMENT)
        self._parameters.append(buffer)
        flat = tirx.decl_buffer((prod(shape),), dtype, f"{name}_flat", data_alignment=_ALIGNMENT)
        self._views.append(flat)
        self._emit(tirx.DeclBuffer(flat, data=buffer.data))
        return flat

    def let_results_replace(self, parameter: Buffer) -> None:
        """Let a caller pass the memory of a parameter, given by its flat view, for the output too.

        The kernel promises to read an element of it only for the result of the same number, before
        it stores that, and to store each result once. LLVM is told that parameters do not overlap,
        but that lets it move only such loads and stores as do not depend on each other.
        """
        self._replaced.append([view.same_as(parameter) for view in self._views].index(True))

    def workspace(self, name: str, size: int, dtype: str = "float32") -> Buffer:
        """Allocate ``size`` elements of memory that live for the rest of the current block.

        Below 1 KiB TVM takes them from the stack, where LLVM can turn them into registers. (Scope
        ``local`` would always mean the heap on CPUs.)
        """
        buffer = tirx.decl_buffer((size,), dtype, name, data_alignment=_ALIGNMENT)
        self._emit(tirx.AllocBuffer(buffer))
        return buffer

    def registers(self, rows: int, widths: Sequence[int]) -> RegisterTile:
        """Declare ``rows`` x ``len(widths)`` vectors of float32; ``widths`` are lanes."""
        return RegisterTile(self, rows, tuple(widths))

    def load(self, buffer: Buffer, offset: Expr, lanes: int = 1) -> Expr:
        """Return the expression that loads ``lanes`` consecutive elements."""
        return tirx.BufferLoad(buffer, [_span(offset, lanes)])

    def store(self, buffer: Buffer, offset: Expr, value: Expr, lanes: int = 1) -> None:
        """Store ``lanes`` consecutive elements."""
        self._emit(tirx.BufferStore(buffer, value, [_span(offset, lanes)]))

    def prefetch(
        self, buffer: Buffer, offset: Expr, *, to_write: bool = False, second: bool = False
    ) -> None:
        """Ask for an element's cache line ahead of use; ``to_write`` takes it from other cores.

        It comes to the first-level cache, or only to the ``second``.
        """
        place = tirx.address_of(tirx.BufferLoad(buffer, [_index(offset)]))
        locality = _SECOND if second else _NEAREST
        call = tirx.call_intrin("void", "tirx.prefetch", place, int(to_write), locality, _DATA)
        self._emit(tirx.Evaluate(call))

    def let(self, value: Expr) -> Expr:
        """Name a value so that it is computed once; a Python int stays one."""
        if isinstance(value, int):
            return value
        name = tirx.Var(self._fresh("t"), value.ty)
        self._emit(tirx.Bind(name, value))
        return name

    @contextlib.contextmanager
    def serial(
        self, extent: Expr, carry: RegisterTile | Sequence[RegisterTile] | None = None
    ) -> Iterator[Expr]:
        """Loop ``extent`` times; yields the index, which is the int 0 if there is one turn only.

        ``carry`` are the register tiles that the turns hand on to each other, if they change any.
        """
        tiles = [carry] if isinstance(carry, RegisterTile) else carry or ()
        if isinstance(extent, int) and extent == 1:
            tiles = ()
        for tile in tiles:
            tile.save()
        with self._loop(extent, ForKind.SERIAL) as index:
            yield index
            for tile in tiles:
                tile.save()

    @contextlib.contextmanager
    def vectors(self, size: int, lanes: int) -> Iterator[tuple[Expr, int]]:
        """Loop over vectors that cover ``size`` elements; yields the first element and the lanes.

        The last vector reaches back as far as it has to: one body serves them all, but elements may
        come up twice. No vector is wider than ``lanes`` or ``size``.
        """
        width = min(lanes, floor_power_of_two(size))
        with self.serial(-(-size // width)) as index:
            first = index * width
            yield (self.let(minimum(first, size - width)) if size % width else first), width

    @contextlib.contextmanager
    def parallel(self, extent: int) -> Iterator[Expr]:
        """Loop whose turns are dealt, in contiguous runs, to however many threads there are.

        Each thread runs all of the kernel but for other threads' turns. So nothing may read what a
        parallel loop before it wrote, other than in workspace by the same turn of a loop of the
        same extent, and what is outside may write only workspace and results, those without reading
        them back.
        """
        with self._loop(extent, ForKind.PARALLEL) as index:
            yield index

    @contextlib.contextmanager
    def when(self, condition: Expr) -> Iterator[None]:
        """Run the block only if the condition holds; a Python bool decides at once."""
        self._blocks.append([])
        yield
        body = self._blocks.pop()
        if condition is True:
            self._blocks[-1].extend(body)
        elif condition is not False and body:
            self._emit(tirx.IfThenElse(condition, _sequence(body), None))

    def function(self, name: str) -> Any:
        """Return the PrimFunc; the builder is spent after that."""
        # Relax's RewriteDataflowReshape takes the outermost statement for a block without asking.
        attrs = {
            "global_symbol": name,
            "tirx.noalias": True,
            "s_tir": True,
            "assay.kernel": True,
            "op_pattern": _OPAQUE,  # or TVM would try to fuse kernels that look element-wise
        }
        if self._replaced:
            attrs[REPLACES] = self._replaced
        if self._uses:
            attrs[USES] = sorted(self._uses)
        return _function(self._parameters, self._blocks.pop()).with_attrs(attrs)

    @contextlib.contextmanager
    def _loop(self, extent: Expr, kind: ForKind) -> Iterator[Expr]:
        if isinstance(extent, int) and extent == 1:
            yield 0
            return
        index = tirx.Var(self._fresh("i"), "int32")
        self._blocks.append([])
        yield index
        body = self._blocks.pop()
        if body and not (isinstance(extent, int) and extent == 0):
            zero = tirx.IntImm("int32", 0)
            self._emit(tirx.For(index, zero, _index(extent), kind, _sequence(body), None, {}))

    def _emit(self, statement: Any) -> None:
        self._blocks[-1].append(statement)

    def _fresh(self, prefix: str) -> str:
        self._names += 1
        return f"{prefix}{self._names}"


def with_parameter_shapes(function: Any, shapes: Sequence[Sequence[int]]) -> Any:
    """Return a kernel whose parameters have other shapes of as many elements, in the same order.

    Kernels only see flat views, so a reshape before or after one costs nothing this way.
    """
    old = list(function.params)
    if [tuple(map(int, parameter.shape)) for parameter in old] == [tuple(s) for s in shapes]:
        return function
    new, views = [], []
    for parameter, shape in zip(old, shapes, strict=True):
        buffer = tirx.decl_buffer(
            tuple(shape), parameter.dtype, parameter.name, data_alignment=_ALIGNMENT
        )
        new.append(buffer)
        views.append(tirx.DeclBuffer(parameter, data=buffer.data))
    body = function.body.block.body
    return _function(new, [*views, body]).with_attrs(function.attrs)


def _function(parameters: list[Any], statements: list[Any]) -> Any:
    root = SBlock([], [], [], "root", _sequence(statements))
    return tirx.PrimFunc(parameters, SBlockRealize([], True, root))


class RegisterTile:
    """A grid of vectors that change while a kernel runs: the sums that it is working on.

    In straight code each new value gets a name. Turns of a loop hand the values on in memory, one
    small buffer per vector, which LLVM turns into registers. (One buffer for all would be too large
    for the stack, and TVM's CompactBufferAllocation takes long over buffers with many accesses.)
    """

    def __init__(self, builder: KernelBuilder, rows: int, widths: tuple[int, ...]) -> None:
        self.rows = rows
        self.widths = widths
        self._builder = builder
        self._values: dict[tuple[int, int], Expr] = {}
        self._memory: dict[tuple[int, int], Buffer] = {}

    def get(self, row: int, column: int) -> Expr:
        """Return vector ``column`` of a row."""
        self._restore()
        return self._values[row, column]

    def put(self, row: int, column: int, value: Expr) -> None:
        """Replace vector ``column`` of a row."""
        self._restore()
        self._values[row, column] = self._builder.let(value)

    def fill(self, values: Sequence[Expr]) -> None:
        """Set every row to the same vectors."""
        named = [self._builder.let(value) for value in values]
        self._values = {(i, q): v for i in range(self.rows) for q, v in enumerate(named)}

    def clear(self) -> None:
        """Set every vector to zero."""
        self.fill([constant(0.0, lanes) for lanes in self.widths])

    def add_product(self, row: int, column: int, left: Expr, right: Expr) -> None:
        """Add ``left * right``: TVM emits llvm.fmuladd, one instruction where there is one."""
        self.put(row, column, self.get(row, column) + left * right)

    def combine_rows(self, combine: Callable[[Expr, Expr], Expr]) -> None:
        """Combine all rows into the first, in pairs: of sums, that loses the least to rounding."""
        step = 1
        while step < self.rows:
            for row in range(0, self.rows - step, 2 * step):
                for column in range(len(self.widths)):
                    other = self.get(row + step, column)
                    self.put(row, column, combine(self.get(row, column), other))
            step *= 2

    def save(self) -> None:
        """Move all vectors to memory, where they stay until one is asked for."""
        for (row, column), value in self._values.items():
            lanes = self.widths[column]
            if (row, column) not in self._memory:
                self._memory[row, column] = self._builder.workspace("sum", lanes)
            self._builder.store(self._memory[row, column], 0, value, lanes)
        self._values = {}

    def _restore(self) -> None:
        if not self._values:
            for (row, column), buffer in self._memory.items():
                value = self._builder.load(buffer, 0, self.widths[column])
                self._values[row, column] = self._builder.let(value)


def fold_lanes(
    b: KernelBuilder, value: Expr, lanes: int, combine: Callable[[Expr, Expr], Expr]
) -> Expr:
    """Combine the lanes of a vector to a scalar, halving it through memory."""
    while lanes > 1:
        halves = b.workspace("halves", lanes)
        b.store(halves, 0, value, lanes)
        lanes //= 2
        value = b.let(combine(b.load(halves, 0, lanes), b.load(halves, lanes, lanes)))
    return value


def broadcast(value: Expr, lanes: int) -> Expr:
    """Repeat a scalar in every lane."""
    return value if lanes == 1 else tirx.Broadcast(value, lanes)


def constant(value: float, lanes: int = 1, dtype: str = "float32") -> Expr:
    """Return a constant, in every lane."""
    scalar = tirx.IntImm(dtype, int(value)) if "int" in dtype else tirx.FloatImm(dtype, value)
    return broadcast(scalar, lanes)


def minimum(left: Expr, right: Expr) -> Expr:
    """Return the smaller of two indices or vectors, at once if both are Python ints.

    TVM makes ``left < right ? left : right`` of it, so that of a float that is not a number and a
    constant, the result is the constant if that is on the right: constants go to the left.
    """
    both = isinstance(left, int) and isinstance(right, int)
    return min(left, right) if both else tirx.min(*_constant_first(left, right))


def maximum(left: Expr, right: Expr) -> Expr:
    """Return the larger of two indices or vectors; see ``minimum``."""
    both = isinstance(left, int) and isinstance(right, int)
    return max(left, right) if both else tirx.max(*_constant_first(left, right))


def _constant_first(left: Expr, right: Expr) -> tuple[Expr, Expr]:
    scalar = right.value if isinstance(right, tirx.Broadcast) else right
    return (right, left) if isinstance(scalar, tirx.FloatImm) else (left, right)


def within(value: Expr, low: int, high: int) -> Expr:
    """Tell whether ``low <= value < high``, at once if ``value`` is a Python int."""
    if isinstance(value, int):
        return low <= value < high
    return tirx.all(value >= low, value < high)


def beside(value: Expr, size: int) -> Expr:
    """Tell whether ``value`` is not in ``0 <= value < size``, at once if it is a Python int."""
    if isinstance(value, int):
        return not 0 <= value < size
    return tirx.any(value < 0, value >= size)


def _index(value: Expr) -> Expr:
    return tirx.IntImm("int32", value) if isinstance(value, int) else value


def _span(offset: Expr, lanes: int) -> Expr:
    start = _index(offset)
    return start if lanes == 1 else tirx.Ramp(start, tirx.IntImm("int32", 1), lanes)


def _sequence(statements: list[Any]) -> Any:
    return statements[0] if len(statements) == 1 else tirx.SeqStmt(statements)
