"""What a kernel does to its results while they are still in registers: bias, residual, activation.

An :class:`Epilogue` is a chain of steps in the order of the graph. Steps with a tensor operand add
one parameter each to the kernel, in the same order, after the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from assay.compiler.kernels.activations import BINARY, UNARY

if TYPE_CHECKING:
    from assay.compiler.kernels.builder import Buffer, Expr, KernelBuilder, RegisterTile

Operand = Literal["channel", "batch_channel", "tensor"]


@dataclass(frozen=True)
class Step:
    """One operation on the running value.

    ``op`` names an entry of :data:`activations.UNARY` (then ``constants`` are its parameters) or of
    :data:`activations.BINARY`. The right-hand side of a binary step is ``operand``: a vector over
    channels [C], one per batch item [B, 1, ..., C], a tensor of the output's shape, or the only
    entry of ``constants`` if ``operand`` is None.
    """

    op: str
    operand: Operand | None = None
    constants: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.op in UNARY:
            wanted, given = UNARY[self.op].constants, len(self.constants)
            if self.operand is not None or wanted != given:
                raise ValueError(f"{self.op} takes {wanted} constants and no operand: {self}")
        elif self.op not in BINARY:
            raise ValueError(f"unknown epilogue operation {self.op!r}")
        elif (self.operand is None) != (len(self.constants) == 1):
            raise ValueError(f"{self.op} takes either an operand or one constant: {self}")


@dataclass(frozen=True)
class Epilogue:
    """The steps after the sum of products, in order."""

    steps: tuple[Step, ...] = ()

    def operand_shapes(self, output: Sequence[int]) -> tuple[tuple[int, ...], ...]:
        """Return the shapes of the tensor operands for a given output shape, channels last."""
        shapes = {
            "channel": (output[-1],),
            "batch_channel": (output[0], *[1] * (len(output) - 2), output[-1]),
            "tensor": tuple(output),
        }
        return tuple(shapes[step.operand] for step in self.steps if step.operand)

    @property
    def per_batch(self) -> bool:
        """Whether the epilogue has to know which batch item a value belongs to."""
        return any(step.operand == "batch_channel" for step in self.steps)

    def then(self, *steps: Step) -> Epilogue:
        """Return this epilogue with more steps at its end."""
        return Epilogue(self.steps + steps)


def bias() -> Step:
    """Add a vector over output channels."""
    return Step("add", "channel")


def residual() -> Step:
    """Add a tensor of the output's shape."""
    return Step("add", "tensor")


def gate() -> Step:
    """Multiply by a factor per batch item and channel, as squeeze-and-excitation does."""
    return Step("multiply", "batch_channel")


def clip(low: float, high: float) -> Step:
    """Limit to [low, high]; ``clip(0, 6)`` is relu6."""
    return Step("clip", constants=(low, high))


def unary(op: str, *constants: float) -> Step:
    """Apply an activation by name, such as ``relu`` or ``hard_swish``."""
    return Step(op, constants=constants)


def apply_step(b: KernelBuilder, step: Step, value: Expr, right: Expr, lanes: int) -> Expr:
    """Return the step's result; ``right`` is its operand's vector, None if it has none."""
    from assay.compiler.kernels.builder import constant

    if step.op in UNARY:
        return UNARY[step.op].write(b, value, lanes, *step.constants)
    if step.operand is None:
        right = constant(step.constants[0], lanes)
    return BINARY[step.op](value, right)


class EpilogueWriter:
    """Emits an epilogue for vectors of outputs; a leading bias starts the sums instead."""

    def __init__(
        self,
        builder: KernelBuilder,
        epilogue: Epilogue,
        output: Sequence[int],
        prefix: str = "operand",
    ) -> None:
        """Declare the operands as parameters of the kernel, for an output of the given shape."""
        self._builder = builder
        self._channels = output[-1]
        shapes = iter(enumerate(epilogue.operand_shapes(output)))
        self._steps: list[tuple[Step, Buffer | None]] = []
        for step in epilogue.steps:
            buffer = None
            if step.operand:
                index, shape = next(shapes)
                buffer = builder.parameter(f"{prefix}{index}", shape)
            self._steps.append((step, buffer))
        self._bias = None
        if self._steps and self._steps[0][0] == bias():
            self._bias = self._steps.pop(0)[1]

    def start_tile(
        self, tile: RegisterTile, column: Expr, vectors: Sequence[tuple[int, int]]
    ) -> None:
        """Set all rows of a tile to what sums start from; ``vectors`` are (channel, lanes)."""
        tile.fill([self.start(column + offset, lanes) for offset, lanes in vectors])

    def start(self, channel: Expr, lanes: int) -> Expr:
        """Return what the sums of ``lanes`` channels start from: zero, or the bias."""
        from assay.compiler.kernels.builder import constant

        if self._bias is None:
            return constant(0.0, lanes)
        return self._builder.let(self._builder.load(self._bias, channel, lanes))

    def finish(self, value: Expr, pixel: Expr, batch: Expr, channel: Expr, lanes: int) -> Expr:
        """Apply the steps to a vector at (pixel, channel); pixels count through all batches."""
        for step, buffer in self._steps:
            right = None
            if buffer is not None:
                offset = self._offset(step.operand, pixel, batch, channel)
                right = self._builder.load(buffer, offset, lanes)
            value = apply_step(self._builder, step, value, right, lanes)
        return value

    def write_tile(
        self,
        tile: RegisterTile,
        output: Buffer,
        pixels: Sequence[Expr],
        batch: Expr,
        column: Expr,
        vectors: Sequence[tuple[int, int]],
    ) -> None:
        """Finish a tile of one row per pixel and store it; ``vectors`` are (channel, lanes)."""
        for row, pixel in enumerate(pixels):
            for index, (offset, lanes) in enumerate(vectors):
                channel = column + offset
                value = self.finish(tile.get(row, index), pixel, batch, channel, lanes)
                self._builder.store(output, pixel * self._channels + channel, value, lanes)

    def _offset(self, operand: Operand | None, pixel: Expr, batch: Expr, channel: Expr) -> Expr:
        if operand == "channel":
            return channel
        row = pixel if operand == "tensor" else batch
        return row * self._channels + channel
