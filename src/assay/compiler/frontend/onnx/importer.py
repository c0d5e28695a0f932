"""ONNX to Relax, on top of TVM's importer, with errors that name nodes."""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import Any

import tvm
from tvm import relax
from tvm.relax.frontend.onnx.onnx_frontend import ONNXGraphImporter

from assay.compiler.frontend.naming import named_after_operators
from assay.compiler.frontend.onnx.converters import CONVERTERS
from assay.compiler.frontend.onnx.graph import static_graph
from assay.compiler.frontend.onnx.support import unsupported
from assay.compiler.frontend.support import Unsupported, reason_of, refusal
from assay.errors import AssayError, ModelError
from assay.model.facts import Model
from assay.model.onnx.load import load_onnx
from assay.model.source import shown


def import_onnx(model: Model, batch: int) -> Any:
    """Return an IRModule whose ``main`` takes the model's inputs, in NCHW as the file has them.

    Raises UnsupportedOperatorError with every node that cannot be compiled, before any work;
    ConfigError for open dimensions other than the batch; ModelError if the file has changed.
    """
    loaded = load_onnx(model.path)
    if loaded.sha256 != model.sha256:
        raise ModelError(f"{shown(model.path)} has changed since it was read; read it again")
    part = static_graph(loaded.proto, model, batch)
    found = unsupported(part, model)
    if found:
        raise refusal(model, found)
    importer = _Importer(model)
    try:
        # The importer prints operands before it raises, and warns about names.
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            mod = importer.from_onnx(part.graph, loaded.opset)
    except AssayError:
        importer.abandon()
        raise
    except Exception as error:
        importer.abandon()
        raise ModelError(
            f"{shown(model.path)}: TVM's importer does not take the graph ({reason_of(error)}); "
            "run the file on ONNX Runtime"
        ) from error
    return named_after_operators(mod, importer.results)


class _Importer(ONNXGraphImporter):
    """Walks over the nodes; ``CONVERTERS`` come first, the importer's own serve the rest."""

    def __init__(self, model: Model) -> None:
        super().__init__(None, None)
        self._facts = model
        self._pending: list[Any] = []
        self.results: list[tuple[int, Any]] = []

    def from_onnx(self, graph: Any, opset: int) -> Any:
        """Convert a graph of an operator set; any failure names the node."""
        self._pending = list(graph.node)[::-1]
        return super().from_onnx(graph, opset)

    def abandon(self) -> None:
        """Close what a failed import left open: TVM would print a warning about it."""
        with contextlib.suppress(Exception):
            self.bb._end_block()

    def _convert_operator(self, op_name: str, inputs: Any, attrs: Any, opset: int) -> Any:
        node = self._pending.pop()
        own = CONVERTERS.get(op_name)
        index = int(node.doc_string)
        try:
            if own is None:
                made = super()._convert_operator(op_name, inputs, attrs, opset)
            else:
                operands = [inputs[position] for position in range(len(node.input))]
                made = self.bb.normalize(own(operands, attrs))
            return self._bound(index, made)
        except Exception as error:
            found = Unsupported(index, op_name, reason_of(error))
            raise refusal(self._facts, [found]) from error

    def _bound(self, index: int, made: Any) -> Any:
        """Bind what an operator computes to variables; note them as its results."""
        if isinstance(made, relax.Tuple):
            return relax.Tuple([self._bound(index, each) for each in made.fields])
        if not isinstance(made, (tvm.ir.Call, relax.Var)):
            return made  # a constant or a shape
        var = self.bb.emit(made)
        self.results.append((index, var))
        if isinstance(var.ty, relax.TupleType):
            items = [relax.TupleGetItem(var, at) for at in range(len(var.ty.fields))]
            return relax.Tuple([self._bound(index, self.bb.emit(each)) for each in items])
        return var
