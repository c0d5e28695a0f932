"""TFLite to Relax, on top of TVM's importer, with errors that name the operator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import tflite
from tvm.relax.frontend.tflite import from_tflite
from tvm.relax.frontend.tflite.tflite_frontend import OperatorConverter

from assay.errors import UnsupportedOperatorError
from assay.model.facts import Model


def import_model(model: Model) -> Any:
    """Return an IRModule whose ``main`` takes the model's inputs; weights are constants in it.

    Raises UnsupportedOperatorError with every operator that cannot be imported, before any is.
    """
    data = Path(model.path).read_bytes()
    buffer = tflite.Model.GetRootAsModel(data, 0)
    mod = from_tflite(buffer, op_converter=_converter_for(model))
    # The weights are constants in the graph already; the attribute holds a second copy of them.
    mod["main"] = mod["main"].without_attr("params")
    return mod


def _converter_for(model: Model) -> type:
    """Bind the model's facts to the converter class that TVM's importer instantiates."""

    class Converter(_Converter):
        facts = model

    return Converter


class _Converter(OperatorConverter):
    """TVM's converter, whose failures are turned into sentences with the operator's index."""

    facts: Model

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._index = {
            self.subgraph.Operators(i)._tab.Pos: i for i in range(self.subgraph.OperatorsLength())
        }
        converters: dict[str, Callable[..., Any]] = vars(self)["convert_map"]
        self.convert_map = {name: self._guard(fn) for name, fn in converters.items()}

    def check_unsupported_ops(self) -> None:
        """Report all operators that cannot be imported, each with its index and the reason."""
        found = [
            (index, name, why)
            for index in range(self.subgraph.OperatorsLength())
            for name, why in [self._unsupported(self.subgraph.Operators(index))]
            if why
        ]
        if found:
            raise UnsupportedOperatorError(_describe(self.facts.path, found))

    def _unsupported(self, op: Any) -> tuple[str, str]:
        index = self._index[op._tab.Pos]
        name = self.facts.operators[index].name
        if name.startswith("CUSTOM"):
            return name, "a custom operator"
        if name not in self.convert_map:
            return name, "not known to TVM's importer"
        inputs, outputs = self.get_input_tensors(op), self.get_output_tensors(op)
        quantized = [t.qnn_params is not None for t in (*inputs, *outputs)]
        if any(quantized) and name not in self._SUPPORTED_QUANTIZED_OPS:
            return name, "not importable when quantized"
        activations = [t.qnn_params is not None for t in (*inputs[:1], *outputs)]
        if any(quantized) and not any(activations):
            return name, "dynamic-range quantized (INT8 weights, float activations)"
        return name, ""

    def _guard(self, convert: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(op: Any) -> Any:
            try:
                return convert(op=op)
            except Exception as error:
                index = self._index[op._tab.Pos]
                name = self.facts.operators[index].name
                why = str(error).strip().splitlines() or [type(error).__name__]
                found = [(index, name, why[-1])]
                raise UnsupportedOperatorError(_describe(self.facts.path, found)) from error

        return guarded


def _describe(path: Path, found: list[tuple[int, str, str]]) -> str:
    listed = "; ".join(f"{name} at operator {index}: {why}" for index, name, why in found)
    return (
        f"{path}: {len(found)} operator(s) cannot be compiled ({listed}); LiteRT may run the file "
        "(--runtime litert), or export it as FP32 or full-integer INT8 with built-in operators only"
    )
