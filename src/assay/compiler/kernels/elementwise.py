"""Element-wise operators and chains of them, with NumPy's broadcasting, float32.

Axes along which every operand either repeats or runs on are joined, so that most problems become
one or two loops; the innermost axis is cut into vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, broadcast
from assay.compiler.kernels.epilogue import Epilogue, Step
from assay.compiler.kernels.epilogue_writer import apply_step
from assay.compiler.kernels.panels import split_columns
from assay.compiler.kernels.work import task_count
from assay.compiler.target import Isa


@dataclass(frozen=True)
class Elementwise:
    """A chain of steps on the first operand, broadcast to ``shape``.

    Each step with an operand takes the next of ``operands``, whatever kind of operand it names:
    shapes alone say how they repeat. Kernel parameters, in order: operands, operands of the
    epilogue, output.
    """

    shape: tuple[int, ...]
    operands: tuple[tuple[int, ...], ...]
    steps: tuple[Step, ...]
    epilogue: Epilogue = field(default=Epilogue())

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the output."""
        return self.shape

    def followed_by(
        self, steps: tuple[Step, ...], operands: tuple[tuple[int, ...], ...]
    ) -> Elementwise:
        """Return the problem with more steps at its end."""
        return replace(self, operands=(*self.operands, *operands), steps=(*self.steps, *steps))

    def __post_init__(self) -> None:
        taken = 1 + sum(step.operand is not None for step in self.steps)
        if taken != len(self.operands):
            raise ValueError(f"the steps take {taken} operands, not {len(self.operands)}: {self}")
        for operand in self.operands:
            sizes = zip(reversed(operand), reversed(self.shape), strict=False)
            if len(operand) > len(self.shape) or any(n not in (1, size) for n, size in sizes):
                raise ValueError(f"{operand} does not broadcast to {self.shape}")


@dataclass(frozen=True)
class Axis:
    """A loop of ``size`` turns; each operand moves by its entry of ``steps`` per turn."""

    size: int
    steps: tuple[int, ...]


def loop_axes(
    shape: Sequence[int], operands: Sequence[Sequence[int]], row_step: int | None = None
) -> tuple[Axis, ...]:
    """Return the loops over ``shape``, outermost first, with as many axes joined as possible.

    The rows of the last operand are ``row_step`` elements apart, if that is not a row's size.
    """
    strides = [_strides(operand, len(shape)) for operand in operands]
    if row_step is not None:
        *outer, inner = strides[-1]
        strides[-1] = [*(step // shape[-1] * row_step for step in outer), inner]
    axes: list[Axis] = []
    for index, size in enumerate(shape):
        if size == 1:
            continue
        steps = tuple(stride[index] for stride in strides)
        if axes and axes[-1].steps == tuple(step * size for step in steps):
            axes[-1] = Axis(axes[-1].size * size, steps)
        else:
            axes.append(Axis(size, steps))
    return tuple(axes) or (Axis(1, (0,) * len(operands)),)


def _strides(operand: Sequence[int], rank: int) -> list[int]:
    """Elements per step along each axis of the output; none where the operand repeats."""
    padded = [1] * (rank - len(operand)) + list(operand)
    return [0 if n == 1 else prod(padded[index + 1 :]) for index, n in enumerate(padded)]


def applicable(problem: Elementwise) -> bool:
    """Tell whether the kernel fits: elements of the output's rows have to be side by side."""
    inside = problem.epilogue.inside
    return inside is None or inside.step == 1 or problem.shape[-1:] != (1,)


def generate(problem: Elementwise, isa: Isa, name: str, parallel: int = 1) -> Any:
    """Return the kernel as a PrimFunc; parameters as :class:`Elementwise` says."""
    b = KernelBuilder()
    shapes = (*problem.operands, *problem.epilogue.operand_shapes(problem.shape))
    operands = [b.parameter(f"operand{index}", shape) for index, shape in enumerate(shapes)]
    output = b.parameter("output", problem.epilogue.stored_shape(problem.shape))
    elements = prod(problem.shape)
    moved = 4 * (elements + sum(map(prod, shapes)))
    tasks = task_count(isa, parallel, elements * _flops(problem), moved)
    inside = problem.epilogue.inside
    axes = loop_axes(problem.shape, [*shapes, problem.shape], inside.step if inside else None)
    _ElementwiseWriter(b, problem, isa, axes, operands, output).write(tasks)
    return b.function(name)


def _flops(problem: Elementwise) -> int:
    """Operations per element; those with an exponential take about 20."""
    steps = (*problem.steps, *problem.epilogue.steps)
    return sum(20 if Epilogue((step,)).is_long else 1 for step in steps)


@dataclass(frozen=True)
class _ElementwiseWriter:
    b: KernelBuilder
    problem: Elementwise
    isa: Isa
    axes: tuple[Axis, ...]
    operands: list[Buffer]
    output: Buffer

    def write(self, tasks: int) -> None:
        inside = self.problem.epilogue.inside
        offsets: list[Expr] = [*([0] * len(self.operands)), inside.first if inside else 0]
        share_outer = len(self.axes) > 1 and self.axes[0].size >= tasks
        self._loop(0, offsets, tasks > 1 and share_outer, tasks > 1 and not share_outer)

    def _loop(self, depth: int, offsets: list[Expr], share: bool, share_vectors: bool) -> None:
        b, axis = self.b, self.axes[depth]
        if depth == len(self.axes) - 1:
            self._vectors(axis, offsets, share_vectors)
            return
        loop = b.parallel if share else b.serial
        with loop(axis.size) as index:
            moved = [
                b.let(offset + index * step) if step else offset
                for offset, step in zip(offsets, axis.steps, strict=True)
            ]
            self._loop(depth + 1, moved, False, share_vectors)

    def _vectors(self, axis: Axis, offsets: list[Expr], share: bool) -> None:
        b = self.b
        for run in split_columns(axis.size, self.isa.lanes(), 1):
            loop = b.parallel if share else b.serial
            with loop(run.count) as vector:
                lanes = run.packed_columns
                first = b.let(run.start + vector * lanes)
                self._chain(
                    axis, [offset + first * s for offset, s in self._with(axis, offsets)], lanes
                )

    def _with(self, axis: Axis, offsets: list[Expr]) -> list[tuple[Expr, int]]:
        return list(zip(offsets, axis.steps, strict=True))

    def _chain(self, axis: Axis, offsets: list[Expr], lanes: int) -> None:
        """Load the operands' vectors, or the scalar that a vector repeats, and apply the steps."""
        b = self.b
        values = iter(
            b.load(buffer, offset, lanes) if step else broadcast(b.load(buffer, offset), lanes)
            for buffer, offset, step in zip(self.operands, offsets, axis.steps, strict=False)
        )
        value = next(values)
        for step in (*self.problem.steps, *self.problem.epilogue.steps):
            right = next(values) if step.operand is not None else None
            value = apply_step(b, step, value, right, lanes)
        b.store(self.output, offsets[-1], value, lanes)
