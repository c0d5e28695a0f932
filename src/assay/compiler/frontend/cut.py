"""A part of a graph, between tensors that the caller names. No TVM here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from assay.errors import ConfigError
from assay.model.facts import Model, border_specs
from assay.model.names import Names
from assay.model.source import shown


def cut(
    model: Model,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    signature: str | None = None,
) -> Model:
    """Return the facts of the part of a graph that leads from ``inputs`` to ``outputs``.

    Both are names or indices of tensors, or names in ``signature`` (in any if None), and become the
    inputs and outputs of the part, in that order; None stands for the model's own. Operators keep
    the index that they have in the file. An ONNX file numbers no tensors.

    ConfigError if a name is unknown or stands for several tensors, if ``signature`` is given
    without names, or if the outputs need an input of the model that is not among ``inputs``.
    """
    if signature is not None and inputs is None and outputs is None:
        raise ConfigError(
            f"{shown(model.path)}: signature {signature!r} says whose names are meant; name inputs "
            "or outputs, too"
        )
    given = model.input_indices if inputs is None else _find(model, inputs, "inputs", signature)
    wanted = (
        model.output_indices if outputs is None else _find(model, outputs, "outputs", signature)
    )
    producers = {index: op for op in model.operators for index in op.outputs}
    needed: set[int] = set()
    open_ends = [index for index in wanted if index not in given]
    seen = set(open_ends)
    while open_ends:
        index = open_ends.pop()
        if index in model.input_indices:
            raise ConfigError(
                f"{shown(model.path)}: the outputs depend on the input "
                f"{model.tensors[index].name!r}; name it, too, or tensors that lie behind it"
            )
        if index in producers:
            needed.add(producers[index].index)
            fresh = {i for i in producers[index].inputs if i >= 0} - seen - set(given)
            seen |= fresh
            open_ends.extend(fresh)
    return replace(
        model,
        inputs=border_specs(model.tensors, given, model.signatures, "inputs"),
        outputs=border_specs(model.tensors, wanted, model.signatures, "outputs"),
        input_indices=given,
        output_indices=wanted,
        operators=tuple(op for op in model.operators if op.index in needed),
    )


def _find(
    model: Model, names: Sequence[str], side: Literal["inputs", "outputs"], signature: str | None
) -> tuple[int, ...]:
    if not names:
        raise ConfigError(f"{shown(model.path)}: no {side} are named; name one or leave them away")
    every = border_specs(model.tensors, range(len(model.tensors)), model.signatures, side)
    numbered = model.format == "tflite"  # an ONNX file gives tensors names only
    tensors = Names(
        shown(model.path), "tensor", dict(enumerate(every)), ConfigError, numbered=numbered
    )
    found = tuple(tensors.find(name, signature) for name in names)
    if side == "inputs" and len(set(found)) != len(found):
        raise ConfigError(f"{shown(model.path)}: an input is named twice; name each once")
    constant = next((i for i in found if side == "inputs" and model.tensors[i].is_constant), None)
    if constant is not None:
        raise ConfigError(
            f"{shown(model.path)}: {model.tensors[constant].name!r} is a constant and cannot be an "
            "input; name a tensor that operators compute"
        )
    return found
