"""A part of a graph, between tensors that the caller names. No TVM here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches

from assay.errors import ConfigError
from assay.model.facts import Model
from assay.model.source import shown


def cut(
    model: Model, inputs: Sequence[str] | None = None, outputs: Sequence[str] | None = None
) -> Model:
    """Return the facts of the part of a graph that leads from ``inputs`` to ``outputs``.

    Both are names of tensors, or of arguments and results of a signature, and become the inputs
    and outputs of the part, in that order; None stands for the model's own. Operators keep the
    index that they have in the file.

    ConfigError if a name is unknown or stands for several tensors, or if the outputs need an input
    of the model that is not among ``inputs``.
    """
    given = _find(model, inputs, "inputs") if inputs is not None else model.input_indices
    wanted = _find(model, outputs, "outputs") if outputs is not None else model.output_indices
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
        inputs=tuple(model.tensors[index].spec for index in given),
        outputs=tuple(model.tensors[index].spec for index in wanted),
        input_indices=given,
        output_indices=wanted,
        operators=tuple(op for op in model.operators if op.index in needed),
    )


def _find(model: Model, names: Sequence[str], side: str) -> tuple[int, ...]:
    if not names:
        raise ConfigError(f"{shown(model.path)}: no {side} are named; name one or leave them away")
    found = tuple(_index(model, name, side) for name in names)
    if side == "inputs" and len(set(found)) != len(found):
        raise ConfigError(f"{shown(model.path)}: an input is named twice; name each once")
    constant = next((i for i in found if side == "inputs" and model.tensors[i].is_constant), None)
    if constant is not None:
        raise ConfigError(
            f"{shown(model.path)}: {model.tensors[constant].name!r} is a constant and cannot be an "
            "input; name a tensor that operators compute"
        )
    return found


def _index(model: Model, name: str, side: str) -> int:
    matches = [tensor.index for tensor in model.tensors if tensor.name == name]
    if not matches:
        matches = [
            signature.inputs[name] if side == "inputs" else signature.outputs[name]
            for signature in model.signatures
            if signature.subgraph == 0
            and name in (signature.inputs if side == "inputs" else signature.outputs)
        ]
    if len(set(matches)) == 1:
        return matches[0]
    if matches:
        raise ConfigError(
            f"{shown(model.path)}: {len(set(matches))} tensors are named {name!r}; cut elsewhere"
        )
    near = get_close_matches(name, [tensor.name for tensor in model.tensors], 1)
    hint = f"did you mean {near[0]!r}?" if near else "assay inspect lists the tensors"
    raise ConfigError(f"{shown(model.path)}: no tensor is named {name!r}; {hint}")
