"""One operator while it is converted: what converters may look at, and their common steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
from tvm import relax

from assay.compiler.frontend.exprs import Expr, quantized, raw_limits
from assay.compiler.frontend.known import is_quantized
from assay.model.facts import Operator, Tensor

if TYPE_CHECKING:
    from assay.compiler.frontend.converter import Converter

Convert = Callable[["Site"], Any]
"""Turns an operator into a Relax expression, or a list of them if it has several outputs."""

# Limits of each activation in real numbers.
_LIMITS: dict[str, tuple[float, float]] = {
    "RELU": (0.0, float("inf")),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
}


class Site:
    """An operator, its operands and its place in the import. Positions count from 0."""

    def __init__(self, converter: Converter, operator: Operator) -> None:
        self._converter = converter
        self.operator = operator
        self.attributes: Mapping[str, Any] = operator.attributes

    def has(self, position: int) -> bool:
        """Whether an optional operand is there."""
        inputs = self.operator.inputs
        return position < len(inputs) and inputs[position] >= 0

    def tensor(self, position: int) -> Tensor:
        """Return the facts of an operand, with the shape that it has in this import."""
        return self._converter.tensors[self.operator.inputs[position]]

    def output(self, position: int = 0) -> Tensor:
        """Return the facts of an output as the file gives them."""
        return self._converter.tensors[self.operator.outputs[position]]

    def shape(self, position: int) -> tuple[int, ...]:
        """Return the shape of an operand."""
        return self.tensor(position).static_shape

    def expr(self, position: int) -> Expr:
        """Return an operand as a Relax expression, raw integers if it is quantized."""
        return self._converter.get_expr(self.operator.inputs[position])

    def exprs(self) -> list[Expr]:
        """Return all operands as Relax expressions."""
        return [self.expr(position) for position in range(len(self.operator.inputs))]

    def value(self, position: int) -> npt.NDArray[Any]:
        """Return an operand that is known; ValueError if it is computed at run time."""
        return self._converter.known(self.operator.inputs[position])

    def known(self, position: int) -> npt.NDArray[Any] | None:
        """Return the value of an operand, None if it is computed at run time."""
        return self._converter.tensors.value(self.operator.inputs[position])

    def ints(self, position: int) -> list[int]:
        """Return a known operand as a flat list of int."""
        return [int(v) for v in self.value(position).ravel()]

    def options(self, table: type) -> Any:
        """Return the operator's options as the schema's generated class."""
        return self._converter.options(self.operator, table)

    def custom_options(self) -> bytes:
        """Return the options of a custom operator, which only it can read."""
        return self._converter.custom_options(self.operator)

    def kernel(
        self,
        function: Any,
        name: str,
        operands: Sequence[Expr],
        shapes: Sequence[tuple[int, ...]],
    ) -> list[Expr]:
        """Call a kernel that returns float32 tensors of the given shapes."""
        return self._converter.kernel(function, name, operands, shapes)

    def real(self, position: int) -> Expr:
        """Return an operand in real numbers: dequantized if it is quantized."""
        return self._converter.real(self.operator.inputs[position])

    def quantized(self, expr: Expr, position: int = 0) -> Expr:
        """Return a real expression in the type of an output: quantized if that is."""
        return quantized(expr, self.output(position))

    def native(self, operands: Mapping[int, Expr] | None = None, real: bool = False) -> Expr:
        """Convert with TVM's importer, ``operands`` taking the place of those in the file.

        ``real`` makes it convert a float operator: quantized operands are dequantized before, and
        the result is to be quantized.
        """
        given = {self.operator.inputs[at]: expr for at, expr in (operands or {}).items()}
        return self._converter.native(self.operator, given, real)

    def activated(self, expr: Expr) -> Expr:
        """Apply the fused activation to an expression of the output's type."""
        name = self.attributes.get("activation", "NONE")
        if name == "NONE":
            return expr
        if name not in _LIMITS:
            raise ValueError(f"its fused activation {name} is not supported")
        low, high = _LIMITS[name]
        output = self.output()
        if is_quantized(output):
            low, high = raw_limits(output, low, high)
        if high == float("inf"):
            return relax.op.nn.relu(expr)
        return relax.op.clip(expr, low, high)
