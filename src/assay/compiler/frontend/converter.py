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
from assay.compiler.frontend.folding import SHAPE_ONLY, fold
from assay.compiler.frontend.graph import Tensors
from assay.compiler.frontend.known import is_quantized, known_tensors
from assay.compiler.frontend.ops import CONVERTERS
from assay.compiler.frontend.site import Site, constant
from assay.compiler.frontend.support import Unsupported, reason_of, refusal
from assay.errors import AssayError
from assay.model.facts import Model, Operator, Tensor

Expr = Any


def converter_for(model: Model, tensors: Tensors) -> type:
    """Bind a graph to the class that TVM's importer instantiates."""

    class Bound(Converter):
        facts = model

    Bound.tensors = tensors
    return Bound


class Converter(OperatorConverter):
    """Walks over the operators; ``ops.CONVERTERS`` come first, the importer's own serve the rest.

    Any failure becomes an UnsupportedOperatorError that names the operator.
    """

    facts: Model
    tensors: Tensors

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._constants: dict[int, Expr] = {}
        self._known = known_tensors(self.facts)

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
            _check(self.tensors[index], expr)
            self.tensors.reshape(index, tvm_api.static_shape(expr))
            self.exp_tab.set_expr(self._name(index), expr)

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

    def known(self, index: int) -> npt.NDArray[Any]:
        """Return the value of a tensor; ValueError if it is computed at run time."""
        value = self.tensors.value(index)
        if value is None:
            raise ValueError(f"its operand {self.tensors[index].name!r} is computed at run time")
        return value

    def real(self, index: int) -> Expr:
        """Return a tensor in real numbers: dequantized if it is quantized."""
        expr, tensor = self.get_expr(index), self.tensors[index]
        return _dequantized(expr, tensor) if is_quantized(tensor) else expr

    def quantized(self, expr: Expr, tensor: Tensor) -> Expr:
        """Return a real expression in the type of a tensor: quantized if that is."""
        if not is_quantized(tensor):
            return expr
        scale, zero_point = _parameters(tensor)
        return relax.op.quantize(expr, scale, zero_point, _axis(tensor), tensor.dtype)

    def get_tensors(self, tensors_idx_list: Any) -> list[TensorWrapper]:
        """Wrap tensors for the importer; operands left out at the end do not appear."""
        indices = [int(index) for index in self._indices_or_empty(tensors_idx_list)]
        while indices and indices[-1] < 0:
            indices.pop()
        return [self._wrapper(index) for index in indices]

    def _wrapper(self, index: int) -> TensorWrapper:
        if index < 0:
            return TensorWrapper(index, 0, 0)
        tensor, parameters = self.tensors[index], None
        if tensor.quantization is not None:
            scale, zero_point = _parameters(tensor)
            parameters = {"scale": scale, "zero_point": zero_point, "axis": _axis(tensor)}
        return TensorWrapper(index, self.subgraph.Tensors(index), None, parameters)

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
        return _dequantized(expr, self.tensors[tensor.tensor_idx])

    def has_same_qnn_params(self, lhs_tensor: Any, rhs_tensor: Any) -> bool:
        """Say yes: LiteRT moves raw integers where it should, whatever the scales say."""
        return True

    def _name(self, index: int) -> str:
        return str(self.subgraph.Tensors(index).Name(), "utf-8")


def _dequantized(expr: Expr, tensor: Tensor) -> Expr:
    scale, zero_point = _parameters(tensor)
    if tensor.dtype == "int64":  # the bias beside int16, which TVM's dequantize does not take
        return relax.op.multiply(relax.op.astype(expr, "float32"), scale)
    return relax.op.dequantize(expr, scale, zero_point, _axis(tensor))


def _parameters(tensor: Tensor) -> tuple[Expr, Expr]:
    """Return scale and zero point as constants, scalars unless they differ along an axis."""
    assert tensor.quantization is not None
    scale = np.asarray(tensor.quantization.scale, np.float32)
    zero_point = np.asarray(tensor.quantization.zero_point, np.int32)
    return (
        constant(scale if scale.size > 1 else scale[0]),
        constant(zero_point[0] if (zero_point == zero_point[0]).all() else zero_point),
    )


def _axis(tensor: Tensor) -> int:
    return (tensor.quantization.axis or 0) if tensor.quantization is not None else 0


def _check(tensor: Tensor, expr: Expr) -> None:
    """Raise ValueError unless an expression has the type of the tensor that it stands for."""
    try:
        shape = tvm_api.static_shape(expr)
    except TypeError as error:
        raise ValueError("the shape of its output depends on values") from error
    if str(expr.ty.dtype) != tensor.dtype:
        raise ValueError(f"it gives {expr.ty.dtype} where the file says {tensor.dtype}")
    if len(shape) != len(tensor.shape) or any(
        size != said and said != -1 for size, said in zip(shape, tensor.shape, strict=True)
    ):
        raise ValueError(f"it gives shape {list(shape)} where the file says {list(tensor.shape)}")
