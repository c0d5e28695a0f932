"""TVM's converter of TFLite operators, one operator at a time, with what it lacks added."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import tflite
from tvm import relax
from tvm.relax.frontend.tflite.tflite_frontend import OperatorConverter, TensorWrapper

from assay.compiler import tvm_api
from assay.compiler.frontend.exprs import Expr, check_type, constant, dequantized, parameters
from assay.compiler.frontend.folding import fold
from assay.compiler.frontend.graph import Tensors
from assay.compiler.frontend.known import SHAPE_ONLY, is_quantized, known_tensors
from assay.compiler.frontend.ops import CONVERTERS
from assay.compiler.frontend.site import Site
from assay.compiler.frontend.support import Unsupported, reason_of, refusal
from assay.errors import AssayError
from assay.model.facts import Model, Operator, Tensor


def converter_for(model: Model, tensors: Tensors) -> type[Converter]:
    """Bind a graph to the class that TVM's importer instantiates."""
    return type("BoundConverter", (Converter,), {"facts": model, "tensors": tensors, "results": []})


class Converter(OperatorConverter):
    """Walks over the operators; ``ops.CONVERTERS`` come first, the importer's own serve the rest.

    Any failure becomes an UnsupportedOperatorError that names the operator. ``results`` collects
    operators with the variables of their outputs.
    """

    facts: Model
    tensors: Tensors
    results: list[tuple[int, Expr]]
    builder: Any = None

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        type(self).builder = self.bb
        self._constants: dict[int, Expr] = {}
        self._known = known_tensors(self.facts)

    @classmethod
    def abandon(cls) -> None:
        """Close what a failed import left open: TVM would print a warning about it."""
        if cls.builder is not None:
            cls.builder._end_block()

    def check_unsupported_ops(self) -> None:
        """Leave out the importer's check: ``support.unsupported`` came before all work."""

    def convert_op_to_relax(self) -> None:
        """Convert all operators in order; each output becomes a variable of the function."""
        for listed in self.facts.operators:
            with self._blaming(listed):
                operator = self._completed(listed)
                if self._known.issuperset(operator.outputs):
                    self._fold(operator)
                else:
                    self._convert(operator)
        self.exp_tab.params.clear()  # a second copy of the weights, for a calling convention

    @contextmanager
    def _blaming(self, operator: Operator) -> Iterator[None]:
        try:
            yield
        except AssayError:
            raise
        except Exception as error:
            found = Unsupported(operator.index, operator.name, reason_of(error))
            raise refusal(self.facts, [found]) from error

    def _fold(self, operator: Operator) -> None:
        if operator.name in SHAPE_ONLY:
            operands = [np.broadcast_to(0, self.tensors[operator.inputs[0]].static_shape)]
        else:
            operands = [self.known(index) for index in operator.inputs]
        dtypes = [self.tensors[index].dtype for index in operator.outputs]
        for index, value in zip(operator.outputs, fold(operator, operands, dtypes), strict=True):
            self.tensors.know(index, value)

    def _convert(self, operator: Operator) -> None:
        site = Site(self, operator)
        own = CONVERTERS.get(operator.name)
        result = own(site) if own else site.native()
        parts = self._parts(result, len(operator.outputs))
        for index, part in zip(operator.outputs, parts, strict=True):
            expr = self._bound(part)
            custom = operator.name.startswith("CUSTOM:")
            check_type(self.tensors[index], expr, custom, self.tensors.batch)
            self.tensors.reshape(index, tvm_api.static_shape(expr))
            self.exp_tab.set_expr(self._name(index), expr)
            if isinstance(expr, relax.Var):
                self.results.append((operator.index, expr))

    def _parts(self, result: Any, count: int) -> list[Expr]:
        if isinstance(result, Sequence):
            return list(result)
        if count == 1:
            return [result]
        bound = self._bound(result)
        return [relax.TupleGetItem(bound, position) for position in range(count)]

    def _bound(self, expr: Expr) -> Expr:
        """Bind an expression to a variable, so that whoever uses it does not compute it again."""
        if isinstance(expr, relax.Var) or tvm_api.is_constant(expr):
            return expr
        return self.bb.emit(expr)

    def _completed(self, operator: Operator) -> Operator:
        """Add attributes that the facts leave out: they matter to the conversion only."""
        if operator.name == "RESHAPE" and len(operator.inputs) == 1:
            options = self.options(operator, tflite.ReshapeOptions)
            shape = tuple(int(size) for size in options.NewShapeAsNumpy())
            return replace(operator, attributes={"new_shape": shape})
        return operator

    def native(self, operator: Operator, given: Mapping[int, Expr], real: bool) -> Expr:
        """Convert with the importer; see :meth:`assay.compiler.frontend.site.Site.native`."""
        given = dict(given)
        outputs: list[Tensor] = []
        if real:
            written = [self.tensors[index] for index in operator.outputs]
            outputs = [tensor for tensor in written if is_quantized(tensor)]
            for index in operator.inputs:
                if index >= 0 and index not in given and is_quantized(self.tensors[index]):
                    given[index] = self.real(index)
        with self._instead(given, outputs):
            return self.convert_map[operator.name](op=self.subgraph.Operators(operator.index))

    @contextmanager
    def _instead(self, given: Mapping[int, Expr], outputs: Sequence[Tensor]) -> Iterator[None]:
        """Let the importer see other expressions for some tensors, and float outputs."""
        facts = {index: self.tensors[index] for index in given}
        facts.update((tensor.index, tensor) for tensor in outputs)
        exprs = dict(self.exp_tab.exprs)
        try:
            for index, expr in given.items():
                expr = self._bound(expr)
                shape, dtype = tvm_api.static_shape(expr), str(expr.ty.dtype)
                seen = replace(facts[index], static_shape=shape, dtype=dtype)
                seen = replace(seen, quantization=None) if dtype == "float32" else seen
                self.tensors[index] = seen
                self.exp_tab.set_expr(self._name(index), expr, force_override=True)
            for tensor in outputs:
                self.tensors[tensor.index] = replace(tensor, dtype="float32", quantization=None)
            yield
        finally:
            self.exp_tab.exprs = exprs
            for index, fact in facts.items():
                self.tensors[index] = fact

    def options(self, operator: Operator, table: type) -> Any:
        """Return the options of an operator; ValueError if it carries no such table."""
        return self._get_builtin_options(self.subgraph.Operators(operator.index), table)

    def custom_options(self, operator: Operator) -> bytes:
        """Return the options of a custom operator; ValueError if there are none."""
        options = self.subgraph.Operators(operator.index).CustomOptionsAsNumpy()
        if isinstance(options, int):
            raise ValueError("its options are missing")
        return bytes(options)

    def kernel(
        self,
        function: Any,
        name: str,
        operands: Sequence[Expr],
        shapes: Sequence[tuple[int, ...]],
    ) -> list[Expr]:
        """Call a kernel that returns float32 tensors of the given shapes."""
        types = [relax.TensorType(shape, "float32") for shape in shapes]
        bound = [self._bound(operand) for operand in operands]
        call = self._bound(relax.call_tir(self.bb.add_func(function, name), bound, types))
        return [relax.TupleGetItem(call, position) for position in range(len(shapes))]

    def known(self, index: int) -> npt.NDArray[Any]:
        """Return the value of a tensor; ValueError if it is computed at run time."""
        value = self.tensors.value(index)
        if value is None:
            raise ValueError(f"its operand {self.tensors[index].name!r} is computed at run time")
        return value

    def real(self, index: int) -> Expr:
        """Return a tensor in real numbers: dequantized if it is quantized."""
        expr, tensor = self.get_expr(index), self.tensors[index]
        return self._bound(dequantized(expr, tensor)) if is_quantized(tensor) else expr

    def get_tensors(self, tensors_idx_list: Any) -> list[TensorWrapper]:
        """Wrap tensors for the importer; operands left out at the end do not appear."""
        indices = [int(index) for index in self._indices_or_empty(tensors_idx_list)]
        while indices and indices[-1] < 0:
            indices.pop()
        return [self._wrapper(index) for index in indices]

    def _wrapper(self, index: int) -> TensorWrapper:
        if index < 0:
            return TensorWrapper(index, 0, 0)
        tensor = self.tensors[index]
        quantization = parameters(tensor) if tensor.quantization is not None else None
        return TensorWrapper(index, self.subgraph.Tensors(index), None, quantization)

    def get_tensor_value(self, tensor_wrapper: TensorWrapper, is_sparse: bool = False) -> Any:
        """Return a known value as the importer wants it: an array that it may change."""
        return self.known(tensor_wrapper.tensor_idx).copy()

    def get_tensor_expr(self, tensor: TensorWrapper, is_sparse: bool = False) -> Expr:
        """Return a tensor as an expression, constants included."""
        return self.get_expr(tensor.tensor_idx)

    def get_expr(self, input_tensor_idx: int) -> Expr:
        """Return a tensor as an expression, constants included."""
        if self.has_expr(input_tensor_idx):
            return super().get_expr(input_tensor_idx)
        if input_tensor_idx not in self._constants:
            self._constants[input_tensor_idx] = constant(self.known(input_tensor_idx))
        return self._constants[input_tensor_idx]

    def dequantize(self, expr: Expr, tensor: TensorWrapper) -> Expr:
        """Return an expression of a quantized tensor, or of a bias, in real numbers."""
        return dequantized(expr, self.tensors[tensor.tensor_idx])

    def has_same_qnn_params(self, lhs_tensor: Any, rhs_tensor: Any) -> bool:
        """Say yes: LiteRT moves raw integers where it should, whatever the scales say."""
        return True

    def _name(self, index: int) -> str:
        return str(self.subgraph.Tensors(index).Name(), "utf-8")
