"""A model file to Relax, on top of TVM's importers, with errors that name operators."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from tvm.relax.frontend.tflite import from_tflite

from assay.compiler import tvm_api
from assay.compiler.frontend.converter import converter_for
from assay.compiler.frontend.graph import FileView, Tensors
from assay.compiler.frontend.naming import named_after_operators
from assay.compiler.frontend.support import reason_of, refusal, unsupported
from assay.errors import AssayError, ConfigError, ModelError
from assay.model.facts import Model
from assay.model.source import load, shown
from assay.model.spec import TensorSpec


def import_model(model: Model, batch: int = 1) -> Any:
    """Return an IRModule whose ``main`` takes the model's inputs; weights are constants in it.

    ``batch`` is the size of a first dimension that the file leaves open; all other shapes follow.
    A part of a graph comes from :func:`assay.compiler.frontend.cut.cut`.

    Variables are named after the operators that they were bound for (``naming.operator_of``).

    Raises UnsupportedOperatorError with every operator that cannot be compiled, before any work;
    ConfigError if ``batch`` is below 1 or the model's batch is fixed; ModelError if the file has
    changed since it was read.
    """
    _check_batch(model, batch)
    if model.format == "onnx":
        from assay.compiler.frontend.onnx.importer import import_onnx

        return import_onnx(model, batch)
    found = unsupported(model)
    if found:
        raise refusal(model, found)
    data = load(model.path)
    if hashlib.sha256(data).hexdigest() != model.sha256:
        raise ModelError(f"{shown(model.path)} has changed since it was read; read it again")
    tensors = Tensors(data, model, batch)
    converter = converter_for(model, tensors)
    try:
        mod = from_tflite(FileView(data, model, tensors), op_converter=converter)
    except Exception as error:
        converter.abandon()
        if isinstance(error, AssayError):
            raise
        raise ModelError(
            f"{shown(model.path)}: TVM's importer does not take the graph ({reason_of(error)}); "
            "run the file on LiteRT"
        ) from error
    mod["main"] = mod["main"].without_attr("params")
    return named_after_operators(mod, converter.results)


def border(model: Model, mod: Any) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Return the specs of inputs and outputs with the shapes of an imported module."""
    main = mod["main"]
    results = main.ret_ty.fields if len(model.outputs) > 1 else [main.ret_ty]
    return (
        tuple(_shaped(*pair) for pair in zip(model.inputs, main.params, strict=True)),
        tuple(
            replace(spec, shape=tuple(int(size) for size in result.shape))
            for spec, result in zip(model.outputs, results, strict=True)
        ),
    )


def _shaped(spec: TensorSpec, expr: Any) -> TensorSpec:
    return replace(spec, shape=tvm_api.static_shape(expr))


def _check_batch(model: Model, batch: int) -> None:
    if batch < 1:
        raise ConfigError(f"batch {batch} holds no sample: give 1 or more")
    if batch > 1 and not any(spec.shape[:1] == (-1,) for spec in model.inputs):
        raise ConfigError(
            f"{shown(model.path)}: no input leaves the batch open, so it cannot be {batch}; export "
            "it with an open batch, or compile it without"
        )
