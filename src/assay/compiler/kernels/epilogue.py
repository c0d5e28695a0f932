"""What a kernel does to its results while they are still in registers: bias, residual, activation.

An :class:`Epilogue` is a chain of steps in the order of the graph. Steps with a tensor operand add
one parameter each to the kernel, in the same order, after the weights. It also says where results
go, if that is not a tensor of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

from assay.compiler.kernels.activations import BINARY, UNARY

Operand = Literal["channel", "batch_channel", "tensor"]


@dataclass(frozen=True)
class Step:
    """One operation on the running value.

    ``op`` names an entry of :data:`activations.UNARY` (then ``constants`` are its parameters) or of
    :data:`activations.BINARY`. The right-hand side of a binary step is ``operand``: a vector over
    channels [C], one per batch item (of size 1 along all other axes), a tensor of the output's
    shape, or the only entry of ``constants`` if ``operand`` is None.
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
class Inside:
    """Results go into a larger tensor of ``size`` elements, the rest of which others write.

    The channels of pixel ``p`` (NHWC) or the image of batch item ``p`` (NCHW) start at its element
    ``first + p * step``.
    """

    size: int
    first: int
    step: int

    def place(self, pixel: Any, channel: Any) -> Any:
        """Return where a channel of a pixel (NHWC) goes; indices are ints or TIR expressions."""
        return pixel * self.step + channel + self.first


@dataclass(frozen=True)
class Epilogue:
    """The steps after the sum of products, in order, and where results go."""

    steps: tuple[Step, ...] = ()
    inside: Inside | None = None

    def operand_shapes(
        self, output: Sequence[int], channel_axis: int = -1
    ) -> tuple[tuple[int, ...], ...]:
        """Return the shapes of the tensor operands for a given output shape."""
        axis = channel_axis % max(len(output), 1)
        shapes = {
            "channel": tuple(output[axis : axis + 1]),
            "batch_channel": tuple(n if i in (0, axis) else 1 for i, n in enumerate(output)),
            "tensor": tuple(output),
        }
        return tuple(shapes[step.operand] for step in self.steps if step.operand)

    def placement(self, output: Sequence[int]) -> Inside:
        """Return where results go: all of an NHWC output of the given shape, if not inside."""
        return self.inside or Inside(prod(output), 0, output[-1])

    def stored_shape(self, output: Sequence[int]) -> tuple[int, ...]:
        """Return the shape of the tensor that results are written to, for a given output shape."""
        return tuple(output) if self.inside is None else (self.inside.size,)

    @property
    def is_long(self) -> bool:
        """Whether a step takes tens of instructions, so that copies of it had better be few."""
        return any(step.op in UNARY and UNARY[step.op].is_long for step in self.steps)

    @property
    def starts_with_bias(self) -> bool:
        """Whether sums may start from a vector over channels instead of zero."""
        return self.steps[:1] == (bias(),)

    @property
    def per_batch(self) -> bool:
        """Whether the epilogue has to know which batch item a value belongs to."""
        return any(step.operand == "batch_channel" for step in self.steps)


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
