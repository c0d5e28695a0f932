"""What a model holds, operator by operator, as plain data for people and programs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from assay.model.facts import Model, Operator, Tensor
from assay.model.schemes import Scheme, schemes


@dataclass(frozen=True)
class OperatorFacts:
    """One operator. Bytes are those of one inference with the file's static shapes.

    ``weight_bytes`` is what its learned constants take in the file, ``read_bytes`` and
    ``written_bytes`` what its activations take. ``inputs`` are activations only. ``sources`` are
    the operators that compute them (-1: the model's input), ``shapes`` those of the outputs.
    """

    index: int
    name: str
    layer: str
    scheme: Scheme
    macs: int
    parameters: int
    weight_bytes: int
    read_bytes: int
    written_bytes: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    sources: tuple[int, ...]


@dataclass(frozen=True)
class Tally:
    """All operators of one name and scheme, summed up."""

    name: str
    scheme: Scheme
    count: int
    macs: int
    parameters: int
    weight_bytes: int
    activation_bytes: int


@dataclass(frozen=True)
class SignatureRow:
    """What a signature calls one tensor.

    ``tensor`` is its index in the subgraph, ``name`` its own name, None beyond the first subgraph.
    """

    signature: str
    subgraph: int
    side: Literal["input", "output"]
    argument: str
    tensor: int
    name: str | None


def signature_rows(model: Model) -> tuple[SignatureRow, ...]:
    """Return all names that signatures give, by signature, inputs first."""
    sides: tuple[Literal["input", "output"], ...] = ("input", "output")
    return tuple(
        SignatureRow(
            signature=each.key,
            subgraph=each.subgraph,
            side=side,
            argument=argument,
            tensor=index,
            name=model.tensors[index].name if each.subgraph == 0 else None,
        )
        for each in model.signatures
        for side in sides
        for argument, index in (each.inputs if side == "input" else each.outputs).items()
    )


def inspect(model: Model) -> tuple[OperatorFacts, ...]:
    """Return the facts of each operator, in execution order."""
    makers = {index: op.index for op in model.operators for index in op.outputs}
    return tuple(
        _facts(operator, scheme, model, makers)
        for operator, scheme in zip(model.operators, schemes(model), strict=True)
    )


def tallies(operators: Iterable[OperatorFacts]) -> tuple[Tally, ...]:
    """Sum up operators by name and scheme, the most multiply-accumulates and bytes first."""
    groups: dict[tuple[str, Scheme], list[OperatorFacts]] = defaultdict(list)
    for operator in operators:
        groups[operator.name, operator.scheme].append(operator)
    summed = [
        Tally(
            name=name,
            scheme=scheme,
            count=len(group),
            macs=sum(each.macs for each in group),
            parameters=sum(each.parameters for each in group),
            weight_bytes=sum(each.weight_bytes for each in group),
            activation_bytes=sum(each.read_bytes + each.written_bytes for each in group),
        )
        for (name, scheme), group in groups.items()
    ]
    return tuple(sorted(summed, key=lambda each: (-each.macs, -each.activation_bytes)))


def _facts(
    operator: Operator, scheme: Scheme, model: Model, makers: dict[int, int]
) -> OperatorFacts:
    def tensors(indices: Iterable[int]) -> list[Tensor]:
        return [model.tensors[index] for index in dict.fromkeys(indices) if index >= 0]

    inputs = [tensor for tensor in tensors(operator.inputs) if not tensor.is_constant]
    outputs = tensors(operator.outputs)
    return OperatorFacts(
        index=operator.index,
        name=operator.name,
        layer=operator.layer,
        scheme=scheme,
        macs=operator.macs,
        parameters=operator.parameters,
        weight_bytes=sum(tensor.size_bytes for tensor in tensors(operator.weights)),
        read_bytes=sum(tensor.size_bytes for tensor in inputs),
        written_bytes=sum(tensor.size_bytes for tensor in outputs),
        inputs=tuple(tensor.name for tensor in inputs),
        outputs=tuple(tensor.name for tensor in outputs),
        shapes=tuple(tensor.shape for tensor in outputs),
        sources=tuple(makers.get(tensor.index, -1) for tensor in inputs),
    )
